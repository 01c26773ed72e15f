"""Each account's health and keys."""
