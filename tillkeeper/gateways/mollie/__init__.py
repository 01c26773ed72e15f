"""Mollie's webhooks, classic and next-gen, and its Payments API.  Documentation: docs.mollie.com."""
