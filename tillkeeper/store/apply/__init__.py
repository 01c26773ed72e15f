"""Applies events, registrations and refunds to orders, each batch in one transaction."""
