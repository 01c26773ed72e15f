"""Simulates Lakala."""
