"""Klarna Checkout and Payments: pushes that prove nothing, and the Order Management API.  docs.klarna.com"""
