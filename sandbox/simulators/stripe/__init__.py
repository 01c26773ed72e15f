"""Simulates Stripe."""
