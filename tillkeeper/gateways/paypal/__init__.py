"""paypal"""
