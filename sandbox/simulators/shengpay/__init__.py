"""A simulated ShengPay."""
