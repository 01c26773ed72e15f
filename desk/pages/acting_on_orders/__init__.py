"""The pages on which people act on an order: what it would do, a reason, and then it is done."""
