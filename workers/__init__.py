"""What happens after a webhook is durable: apply, and what time brings."""
