"""Connects to PostgreSQL, runs and repeats transactions, and classifies its errors."""
