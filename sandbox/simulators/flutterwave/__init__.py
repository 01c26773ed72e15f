"""Simulates Flutterwave."""
