"""Simulates Adyen."""
