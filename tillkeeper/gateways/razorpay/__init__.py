"""Razorpay, razorpay.com: its documentation is at razorpay.com/docs."""
