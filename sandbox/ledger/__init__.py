"""The ledger of the simulated gateways: what they know of their payments at every moment."""
