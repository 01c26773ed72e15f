"""Simulates WeChat Pay."""
