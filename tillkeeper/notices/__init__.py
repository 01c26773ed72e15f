"""Notices are decided on, worded, and handed to mail, the merchant's systems, or ops."""
