"""Simulates GoCardless."""
