"""Simulates Razorpay."""
