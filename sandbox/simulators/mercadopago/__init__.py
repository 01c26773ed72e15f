"""A simulated Mercado Pago."""
