"""Stores each account's health and the use of its keys."""
