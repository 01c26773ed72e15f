"""A simulated ShopeePay."""
