"""Shengpay for tests: accounts and notices."""

from datetime import UTC, datetime

from specimen import NOW, response_of, rsa_keys
from specimen_shengpay import HEADERS, plain_of, sealed, settings_of

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.shengpay.gateway import ShengPay
from tillkeeper.gateways.shengpay.settings import ShengPaySettings

KEYS = rsa_keys()
PAID_AT = datetime(2026, 10, 5, 11, 59, 58, tzinfo=UTC)
BY_ORDER = Query(about="payment", order_ref="ORDER-1")
OF_REFUND = Query(about="refund", order_ref="ORDER-1", refund_ref="R-1")


def a_gateway(**settings):
    return THE_GATEWAY if not settings else made(**settings)


def made(**settings):
    kept = {name: value for name, value in (settings_of(KEYS) | settings).items() if value is not None}
    return ShengPay("shengpay-main", ShengPaySettings.model_validate(kept))


THE_GATEWAY = made()  # reading a private key takes a while


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


# Asking.


def answer_to(query, fields, *, status=200, key=KEYS.own):
    headers = HEADERS | {"Date": "Mon, 05 Oct 2026 12:00:00 GMT"}
    body = fields if isinstance(fields, bytes) else sealed(key, plain_of(fields))
    return a_gateway().read_response(query, response_of((headers, body), status), now=NOW)
