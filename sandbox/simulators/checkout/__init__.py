"""A simulated Checkout.com."""
