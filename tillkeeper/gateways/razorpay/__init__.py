"""razorpay"""
