"""Reads files of banks: statements as camt.053 and MT940, and tables by a mapping."""
