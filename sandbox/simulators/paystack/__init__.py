"""A simulated Paystack."""
