"""PayPal's webhooks, and its APIs of orders, payments and disputes.  Documentation: developer.paypal.com."""
