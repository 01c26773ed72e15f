"""Simulates ShopeePay."""
