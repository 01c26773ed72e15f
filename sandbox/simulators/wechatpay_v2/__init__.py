"""A simulated WeChat Pay's API v2."""
