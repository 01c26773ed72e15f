"""The client of the gateways' APIs limits how often and how long each account is called, and breaks after failures."""
