"""The research session: the only place that knows the order in which things happen."""
