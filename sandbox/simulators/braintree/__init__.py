"""A simulated Braintree."""
