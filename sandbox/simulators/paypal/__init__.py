"""Simulates PayPal."""
