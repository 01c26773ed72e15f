"""Gateways to play with, and servers of one's own: for `make run`, tests and development."""
