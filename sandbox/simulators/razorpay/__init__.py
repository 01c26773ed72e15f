"""A simulated Razorpay."""
