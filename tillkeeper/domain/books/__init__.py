"""The books: what gateways' and banks' statements say, and how it compares with the orders."""
