"""Let a coding agent drive machine-learning research while the server judges."""
