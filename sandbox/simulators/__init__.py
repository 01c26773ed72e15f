"""The gateways as the sandbox simulates them: deliveries that it signs, events that happen at it, an API."""
