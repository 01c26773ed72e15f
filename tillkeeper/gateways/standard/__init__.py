"""Any provider that needs no code: the account's tables describe its webhooks.  Specification: standardwebhooks.com."""
