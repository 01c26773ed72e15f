"""Says why a delivery was refused, and what to do about it: for ops, never for the caller."""
