"""Checkout.com's webhooks and its Payments API.  Documentation: checkout.com/docs."""
