"""The pages of parked events: what could not be applied, what it means, and replaying or discarding it."""
