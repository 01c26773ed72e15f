"""What Alipay's notices say of a trade: paid, closed, given back.

Sources: Alipay's page "异步通知" (its table of parameters and of trade states), its page "alipay.trade.query" for
`trans_currency`, and notices that merchants published.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.alipay.fields import currency_in, method_in, moment, money
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.unknown_words import unknown_word

Fields = Mapping[str, str]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a notice tells of a payment, and the fields that tell when, best first.

    notify_time comes last and only for want of another, for it may differ each time a notice is repeated.
    """

    kind: Kind
    times: tuple[str, ...]
    failure: FailureClass | None = None


STATES: Final[Mapping[str, State]] = {
    "WAIT_BUYER_PAY": State(kind=Kind.PAYMENT_PENDING, times=("gmt_create", "notify_time")),
    # The payer has paid, and the seller's account cannot take it yet.
    "TRADE_PENDING": State(kind=Kind.PAYMENT_PENDING, times=("gmt_payment", "gmt_create", "notify_time")),
    "TRADE_SUCCESS": State(
        kind=Kind.PAYMENT_SUCCEEDED, times=("gmt_payment", "gmt_close", "gmt_create", "notify_time")
    ),
    # Succeeded, and too old to be refunded.
    "TRADE_FINISHED": State(
        kind=Kind.PAYMENT_SUCCEEDED, times=("gmt_payment", "gmt_close", "gmt_create", "notify_time")
    ),
    # Closed for want of payment; one that was paid and refunded whole is closed too, but REFUND goes first.
    "TRADE_CLOSED": State(
        kind=Kind.PAYMENT_CANCELLED,
        times=("gmt_close", "gmt_create", "notify_time"),
        failure=FailureClass.EXPIRED_UNPAID,
    ),
}

# Whatever trade_status says: a payment partly refunded stays TRADE_SUCCESS.
REFUND: Final = State(
    kind=Kind.REFUND_SUCCEEDED, times=("gmt_refund", "gmt_close", "gmt_payment", "gmt_create", "notify_time")
)

# What an event is made from.
DECIDING: Final = frozenset(
    {
        *("app_id", "seller_id", "notify_id", "notify_type", "out_trade_no", "trade_no", "out_biz_no", "trade_status"),
        *("total_amount", "trans_currency", "refund_fee", *REFUND.times),
    }
)
# The merchant's own text, into which some put such names.  Sorted as they are signed, notify_id comes before it, then
# refund_fee and seller_id behind it, so that it could have swallowed no other without one of these.
LESS_STRICT: Final = {"passback_params": ("notify_id", "refund_fee", "seller_id")}


def event_of(account: str, fields: Fields, trans_currency: str) -> PaymentEvent | None:
    """The event in a notice; None where it is about no trade, or in a word or currency that is not known.

    `trans_currency` is what amounts are in where the notice does not say.
    """
    currency = currency_in(fields, trans_currency)
    if currency is None:
        return None
    total = _refunded(fields, currency)
    state = _state_of(fields) if total is None else REFUND
    if state is None:
        return None
    occurred_at = _occurred_at(fields, state.times)
    made = PaymentEvent(
        event_id=fields.get("notify_id") or _event_id(fields, state, occurred_at, total),
        kind=state.kind,
        account=account,
        occurred_at=occurred_at,
        order_ref=fields.get("out_trade_no") or None,
        payment_ref=fields.get("trade_no") or None,
        refund_ref=(fields.get("out_biz_no") or None) if state is REFUND else None,
        amount=None if state is REFUND else _amount(fields, currency),
        total=total,
        currency=currency,
        failure=state.failure,
        failure_code=fields["trade_status"] if state.failure else None,
        method=_method(fields) if state.kind.is_payment else None,
        has_refunds=total is None and bool(fields.get("gmt_refund")),
    )
    if problem := problem_with(made):
        raise BadPayload(problem)
    return made


def _state_of(fields: Fields) -> State | None:
    """None for what is about no trade (a contract, an authorization, a message), and for a state that is not known."""
    word = fields.get("trade_status")
    if not word:
        return None
    if word not in STATES:
        unknown_word("trade_status", word)
    return STATES.get(word)


def _refunded(fields: Fields, currency: str) -> int | None:
    """What the payment has given back so far, or None if the notice tells of no sum: with a gmt_refund all the same it
    says that there is one, which happens to no notice seen.

    Notices of payments and of unpaid closing may carry refund_fee=0.00, which tells of no refund.  A trade that was
    paid and is closed gave all back, told or not, as an answer of that state is read too.
    """
    total = money(fields, "refund_fee", currency)
    if fields.get("trade_status") == "TRADE_CLOSED" and (fields.get("gmt_payment") or fields.get("gmt_refund")):
        total = total or _amount(fields, currency)
        if total is None:
            raise BadPayload("the notice tells of a refund, but refund_fee is missing")
        return total
    return total if fields.get("gmt_refund") else total or None


def _amount(fields: Fields, currency: str) -> int | None:
    amount = money(fields, "total_amount", currency)
    if amount == 0:
        raise BadPayload("total_amount is 0.01 or more at Alipay")
    return amount


def _occurred_at(fields: Fields, times: tuple[str, ...]) -> datetime:
    name = next((name for name in times if fields.get(name)), None)
    if name is None:
        raise BadPayload(f"none of {', '.join(times)} tells when")
    return moment(name, fields[name])


def _event_id(fields: Fields, state: State, occurred_at: datetime, total: int | None) -> str:
    """Stands in for a missing notify_id: what stays the same when a notice is repeated, and tells refunds apart."""
    refund = "" if total is None else f":{total}"
    return f"{fields.get('trade_no', '')}:{state.kind}:{occurred_at:%Y%m%dT%H%M%SZ}{refund}"


def _method(fields: Fields) -> str | None:
    """A notice writes the channels as JSON, in other letters than an answer."""
    try:
        return method_in(strictjson.loads(fields.get("fund_bill_list", "").encode()), "fundChannel")
    except BadPayload:
        return None
