"""Simulates Klarna."""
