"""Durable ways from receiver to workers: the RabbitMQ lane and the PostgreSQL lane, one contract."""
