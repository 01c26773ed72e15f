"""What people and tests read."""
