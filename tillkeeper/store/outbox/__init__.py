"""Notices: written into the outbox with what they report, and later claimed, sent and settled."""
