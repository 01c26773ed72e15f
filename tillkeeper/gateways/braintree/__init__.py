"""braintree"""
