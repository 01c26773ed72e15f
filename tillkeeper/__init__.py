"""Tillkeeper keeps a merchant's order payment state true."""

__version__ = "0.2.0.dev0"
