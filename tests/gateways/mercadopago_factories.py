"""Mercado Pago for tests: accounts and deliveries."""

from tillkeeper.gateways.mercadopago.gateway import MercadoPago
from tillkeeper.gateways.mercadopago.settings import MercadoPagoSettings

SECRET = "a_secret_that_mercado_pago_drew"
TOKEN = "APP_USR-token"


def a_gateway(**settings):
    base = {"gateway": "mercadopago", "webhook_secrets": [SECRET], "access_token": TOKEN}
    return MercadoPago("mercadopago-main", MercadoPagoSettings.model_validate(base | settings))
