"""Each gateway as the sandbox plays it: one file a gateway, found by the gateway's name."""
