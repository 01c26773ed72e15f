"""A simulated PayPal."""
