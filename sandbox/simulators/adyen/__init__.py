"""A simulated Adyen."""
