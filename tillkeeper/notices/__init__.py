"""Writes notices in words, and sends them by mail, to the merchant's systems, or to ops."""
