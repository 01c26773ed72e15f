"""What pages show live: read once for all who look, and only while somebody does."""
