"""The receiver verifies webhooks, makes them durable and acknowledges them; it also serves the orders API."""
