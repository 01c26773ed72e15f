"""Tillkeeper keeps a merchant's order payment state true."""

__version__ = "0.1.0"
