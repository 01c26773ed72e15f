"""Simulates Paystack."""
