"""Simulates Square."""
