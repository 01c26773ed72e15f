"""Braintree, braintreepayments.com: its documentation is at developer.paypal.com/braintree/docs."""
