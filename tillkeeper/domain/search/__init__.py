"""Reads what people search for, and ranks what was found."""
