"""Simulates WeChat Pay's API v2."""
