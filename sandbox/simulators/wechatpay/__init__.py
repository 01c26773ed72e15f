"""A simulated WeChat Pay."""
