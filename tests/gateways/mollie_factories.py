"""Mollie for tests: accounts, payments, refunds."""

from specimen import NOW, request_of

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.mollie.gateway import Mollie
from tillkeeper.gateways.mollie.settings import MollieSettings
from tillkeeper.sandbox.simulators.mollie.objects import (
    mollie_payment,
    mollie_refund,
)
from tillkeeper.sandbox.simulators.mollie.signing import mollie_event, mollie_signed

SECRET = "a_signing_secret_of_the_tests_5d1c"
KEY = "test_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM"
PAYMENT = Query(about="payment", payment_ref="tr_1")
LINK = Query(about="payment", payment_ref="pl_1")


def a_gateway(**settings):
    base = {"gateway": "mollie", "api_key": KEY, "signing_secrets": [SECRET]}
    return Mollie("mollie-main", MollieSettings.model_validate(base | settings))


def a_payment(**more):
    return mollie_payment("tr_1", 12900, "EUR", "ORDER-1", **more)


def a_refund(**more):
    return mollie_refund("re_1", "tr_1", 400, "EUR", **more)


def taken(signed, gateway=None):
    """What a delivery makes: events, and queries."""
    gateway = gateway or a_gateway()
    verified = gateway.verify(request_of(signed), NOW)
    return gateway.parse(verified), gateway.queries_for(verified)


def parsed(event_type, entity, gateway=None, **more):
    return taken(mollie_signed(SECRET, mollie_event(NOW, event_type, entity, **more)), gateway)
