"""Writes cases, and what people do to them."""
