"""mollie"""
