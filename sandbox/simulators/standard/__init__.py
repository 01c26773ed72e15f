"""Simulates gateway that signs by Standard Webhooks."""
