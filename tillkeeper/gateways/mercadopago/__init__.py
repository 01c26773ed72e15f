"""Mercado Pago, mercadopago.com: its documentation is at mercadopago.com/developers."""
