"""GoCardless's webhooks and its API.  Documentation: developer.gocardless.com."""
