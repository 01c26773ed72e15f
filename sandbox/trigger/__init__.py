"""One delivery on demand, against a receiver that runs: `tillkeeper sandbox accounts` and `sandbox trigger`."""
