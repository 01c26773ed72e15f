"""A simulated Alipay."""
