"""A simulated Square."""
