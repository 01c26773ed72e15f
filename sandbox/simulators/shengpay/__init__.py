"""Simulates ShengPay."""
