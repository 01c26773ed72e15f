"""A simulated gateway that signs by Standard Webhooks."""
