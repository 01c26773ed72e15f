"""A simulated Lakala."""
