"""Lanes carry events durably from receiver to workers: over RabbitMQ or PostgreSQL, with one contract."""
