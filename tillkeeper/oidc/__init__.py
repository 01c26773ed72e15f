"""Asks the provider of a company's accounts who somebody is: OpenID Connect, as its client (docs/access.md)."""
