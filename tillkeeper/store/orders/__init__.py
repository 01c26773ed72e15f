"""Orders as rows: loaded under their locks, and written."""
