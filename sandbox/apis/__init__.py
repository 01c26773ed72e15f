"""The gateways' APIs: they answer from their own books, in each one's exact form, and fail as asked."""
