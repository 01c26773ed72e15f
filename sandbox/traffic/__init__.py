"""Simulated gateways post webhooks to a running Tillkeeper, and what became of the orders is compared."""
