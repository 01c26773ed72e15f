"""Keeps the people who may use the desk: sessions, tokens, links, what they did, and what two of them decide."""
