"""Answers of Alipay for tests."""

import json

from specimen import NOW, private_pem, public_pem, rsa_keys
from specimen_alipay import APP_ID, answer

from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.messages import Query

KEYS = rsa_keys()
TRADE_NO = "2026100522001400000000000001"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref=TRADE_NO)
BY_ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=TRADE_NO, refund_ref="R-1")
TRADE_NAME = "alipay_trade_query_response"
REFUND_NAME = "alipay_trade_fastpay_refund_query_response"


def settings(**changes):
    base = {"gateway": "alipay", "app_id": APP_ID, "app_private_key": private_pem(KEYS.other)}
    return AlipaySettings.model_validate(base | changes)


def a_gateway(**changes):
    return THE_GATEWAY if not changes else made(**changes)


def made(**changes):
    return Alipay("alipay-main", settings(**({"alipay_public_key": public_pem(KEYS.own)} | changes)))


THE_GATEWAY = made()  # reading a private key takes a while


def compact(content):
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def answered(query, content, *, name=None, key=KEYS.own, gateway=None, now=NOW):
    plain = content if isinstance(content, bytes) else compact(content)
    name = name or (REFUND_NAME if query.about == "refund" else TRADE_NAME)
    return (gateway or a_gateway()).read_response(query, answer(key, name, plain), now=now)


def the(response):
    (event,) = response.events
    return event


def without(content, *names):
    return {name: value for name, value in content.items() if name not in names}
