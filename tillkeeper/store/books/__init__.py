"""The books: the ledger of orders' money."""
