"""Each module touches one part of the world and decides nothing; none imports another."""
