"""Simulates Alipay."""
