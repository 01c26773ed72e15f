"""Simulates Mercado Pago."""
