"""Simulates Mollie."""
