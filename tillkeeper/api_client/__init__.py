"""Asking gateways what they know: how often, how long, how many at once, and when to leave one alone."""
