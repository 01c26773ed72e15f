"""A simulated Klarna."""
