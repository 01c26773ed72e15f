"""mercadopago"""
