"""Stores the queries to gateways that deliveries cause."""
