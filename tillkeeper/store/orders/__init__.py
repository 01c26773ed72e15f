"""Loads orders under their locks, and writes them."""
