"""Reads what people and tests want to see."""
