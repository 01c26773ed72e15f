"""Pauses accounts whose changes go beyond the usual, and keeps what comes for them meanwhile."""
