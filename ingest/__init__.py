"""The receiver: verifies webhooks, makes them durable, answers; and the orders API."""
