"""A simulated GoCardless."""
