"""Statements of gateways: taken in, compared with the orders' facts, and what differs."""
