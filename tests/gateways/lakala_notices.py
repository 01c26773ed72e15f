"""Lakala's gateways and notices that its tests share."""

from datetime import UTC, datetime

from specimen import NOW, rsa_keys
from specimen_lakala import (
    AGGREGATED,
    NOTICE,
    REFUND_NOTICE,
    REFUND_TRADE,
    TRADE,
    plain_of,
    posted,
    settings_of,
)

from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.lakala.gateway import Lakala
from tillkeeper.gateways.lakala.settings import LakalaSettings
from tillkeeper.gateways.messages import Query

KEYS = rsa_keys()
PAID_AT = datetime(2026, 10, 5, 11, 59, 58, tzinfo=UTC)
BEGAN_AT = datetime(2026, 10, 5, 11, 50, tzinfo=UTC)
PAYMENT_NO, REFUND_NO = "2026100566210002570007", "2026100566210002570009"
BY_ORDER = Query(about="payment", order_ref="ORDER-1")
BY_NUMBER = Query(about="payment", order_ref="ORDER-1", payment_ref=PAYMENT_NO)
OF_REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=PAYMENT_NO, refund_ref=REFUND_NO)

ORIGIN = {"origin_trade_no": PAYMENT_NO, "origin_out_trade_no": "ORDER-1"}
AGGREGATED_REFUND = AGGREGATED | ORIGIN | {"trade_no": REFUND_NO, "out_trade_no": "R-1", "refund_amount": "400"}


def made(**settings):
    kept = {name: value for name, value in (settings_of(KEYS) | settings).items() if value is not None}
    return Lakala("lakala-main", LakalaSettings.model_validate(kept))


CASHIER = made()  # reading a private key takes a while
PLAIN = made(cashier=False)
MUTE = made(merchant_private_key=None)


def verified(fields, gateway=CASHIER, at=NOW):
    return gateway.verify(posted(KEYS.own, plain_of(fields), at), at)


def events_of(fields, gateway=CASHIER):
    return gateway.parse(verified(fields, gateway))


def event_of(fields, gateway=CASHIER):
    (event,) = events_of(fields, gateway)
    return event


def queries_of(fields, gateway=CASHIER):
    return gateway.queries_for(verified(fields, gateway))


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


def trade(**changes):
    return NOTICE | {"order_trade_info": TRADE | changes}


def refund(**changes):
    return REFUND_NOTICE | {"order_trade_info": REFUND_TRADE | changes}


def standing(*events, due=12900):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    order = Order(order_ref="ORDER-1", amount=due, currency="CNY", accounts=frozenset({"lakala-main"}))
    summary = summarize(order, facts)
    return summary.status, summary.captured, summary.refunded
