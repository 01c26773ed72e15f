"""paystack"""
