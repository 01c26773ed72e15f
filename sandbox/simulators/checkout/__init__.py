"""Simulates Checkout.com."""
