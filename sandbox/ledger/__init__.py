"""What the gateways themselves know of their payments, at every moment."""
