"""Removes what was kept for long enough, in steps that hold nobody up (domain/retention.py says what)."""
