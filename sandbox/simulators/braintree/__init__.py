"""Simulates Braintree."""
