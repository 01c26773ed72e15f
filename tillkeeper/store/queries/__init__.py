"""Requests to query a gateway that deliveries caused."""
