"""The pages of money that waits for its order, or counts for nothing."""
