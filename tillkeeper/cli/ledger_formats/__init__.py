"""How the ledger is written for others: CSV, JSON lines, hledger and beancount."""
