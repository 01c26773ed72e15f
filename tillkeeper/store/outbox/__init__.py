"""Writes notices into the outbox, and claims and settles them for sending."""
