"""adyen"""
