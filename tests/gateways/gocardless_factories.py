"""GoCardless for tests: accounts, deliveries, answers."""

import json

from specimen import NOW, Response, request_of

from tillkeeper.gateways.gocardless.gateway import GoCardless
from tillkeeper.gateways.gocardless.settings import GoCardlessSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.gocardless.objects import gocardless_event, gocardless_payment
from tillkeeper.sandbox.simulators.gocardless.signing import gocardless_body, gocardless_signed

SECRET = "an_endpoints_secret_of_the_debits"
TOKEN = "sandbox_token_of_the_tests"
DATE = "Mon, 05 Oct 2026 11:59:57 GMT"
PAYMENT = Query(about="payment", payment_ref="PM1")
REFUND = Query(about="refund", refund_ref="RF1")


def a_gateway(**settings):
    base = {"gateway": "gocardless", "webhook_secrets": [SECRET], "access_token": TOKEN}
    return GoCardless("debits", GoCardlessSettings.model_validate(base | settings))


def an_event(action, *, event_id="EV1", at=NOW, ref="PM1", order_ref="ORDER-1", **details):
    metadata = {} if order_ref is None else {"resource_metadata": {"order_id": order_ref}}
    return gocardless_event(
        event_id, at, "payments", action, links={"payment": ref}, details={"origin": "bank", **details}, **metadata
    )


def delivered(*events, gateway=None):
    """What a delivery makes: events, and queries."""
    gateway = gateway or a_gateway()
    verified = gateway.verify(request_of(gocardless_signed(SECRET, gocardless_body(*events))), NOW)
    return gateway.parse(verified), gateway.queries_for(verified)


def response(content, status=200):
    return Response(status=status, headers={"date": [DATE]}, body=json.dumps(content).encode())


def a_history(*events, **payment):
    """The list of a payment's events, oldest first here and newest first there."""
    payments = [gocardless_payment("PM1", 12900, "GBP", "ORDER-1", **payment)]
    return {"events": list(reversed(events)), "linked": {"payments": payments}, "meta": {}}


def answered(*events, **payment):
    return a_gateway().read_response(PAYMENT, response(a_history(*events, **payment)), now=NOW).events
