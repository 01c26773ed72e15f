"""Erases the personal data of payers, and leaves the books whole."""
