"""The client of the gateways' APIs: how often each account is called, for how long, and when it is left alone."""
