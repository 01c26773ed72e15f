"""Finds what people look for, each kind of probe by an index of its own."""
