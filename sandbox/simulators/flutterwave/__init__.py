"""A simulated Flutterwave."""
