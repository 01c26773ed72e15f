"""Notices on their way out: decided, worded, and handed to mail, the merchant's systems, or ops."""
