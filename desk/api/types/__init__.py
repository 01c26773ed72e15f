"""What bodies and queries of the desk's API hold, field by field, as its document publishes it."""
