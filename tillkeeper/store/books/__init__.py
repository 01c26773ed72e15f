"""The books: the ledger of orders' money, and gateways' statements, taken in and compared with it."""
