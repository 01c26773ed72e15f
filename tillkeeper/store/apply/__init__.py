"""Events, registrations and refunds into orders, one transaction a batch."""
