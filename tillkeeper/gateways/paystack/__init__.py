"""Paystack, paystack.com: its documentation is at paystack.com/docs, its API reference at paystack.com/docs/api."""
