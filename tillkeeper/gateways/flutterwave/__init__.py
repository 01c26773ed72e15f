"""Flutterwave, flutterwave.com: its documentation is at developer.flutterwave.com."""
