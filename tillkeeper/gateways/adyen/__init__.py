"""Adyen's standard webhooks; it has no API that payments can be queried by.  Documentation: docs.adyen.com."""
