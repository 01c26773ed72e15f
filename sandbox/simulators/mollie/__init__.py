"""A simulated Mollie."""
