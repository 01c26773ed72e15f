"""The sandbox: simulated gateways and private servers, for `make run`, tests and development."""
