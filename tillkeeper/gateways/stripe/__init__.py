"""Stripe, stripe.com: its documentation is at docs.stripe.com, its API reference at docs.stripe.com/api."""
