"""Verifies and reads Alipay's notices: a signature over sorted fields, and the state of a trade.

Sources: the package `alipay-sdk-python` (SignatureUtils) and the Node SDK's checkNotifySign for the signature; Alipay's
page "异步通知" (its table of parameters and of trade states), its page "alipay.trade.query" for `trans_currency`, and
notices that merchants published.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.alipay.fields import SIGN_TYPE, currency_in, method_in, moment, money, signing_text
from tillkeeper.gateways.alipay.keys import TrustedKey
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import form, strictjson
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.kit.pairs import check_unambiguous
from tillkeeper.gateways.kit.rsa import signature_bytes
from tillkeeper.gateways.kit.unknown_words import known_or_none
from tillkeeper.gateways.messages import Request

Fields = Mapping[str, str]


class TradeState(msgspec.Struct, frozen=True, kw_only=True):
    """What a notice says of a payment, and the fields that say when, best first.

    notify_time comes last and only for want of another, for it may differ each time a notice is repeated.
    """

    kind: Kind
    times: tuple[str, ...]
    failure: FailureClass | None = None


STATES: Final[Mapping[str, TradeState]] = {
    "WAIT_BUYER_PAY": TradeState(kind=Kind.PAYMENT_PENDING, times=("gmt_create", "notify_time")),
    # The payer has paid, and the seller's account cannot take it yet.
    "TRADE_PENDING": TradeState(kind=Kind.PAYMENT_PENDING, times=("gmt_payment", "gmt_create", "notify_time")),
    "TRADE_SUCCESS": TradeState(
        kind=Kind.PAYMENT_SUCCEEDED, times=("gmt_payment", "gmt_close", "gmt_create", "notify_time")
    ),
    # Succeeded, and too old to be refunded.
    "TRADE_FINISHED": TradeState(
        kind=Kind.PAYMENT_SUCCEEDED, times=("gmt_payment", "gmt_close", "gmt_create", "notify_time")
    ),
    # Closed for want of payment; one that was paid and refunded whole is closed too, but REFUND goes first.
    "TRADE_CLOSED": TradeState(
        kind=Kind.PAYMENT_CANCELLED,
        times=("gmt_close", "gmt_create", "notify_time"),
        failure=FailureClass.EXPIRED_UNPAID,
    ),
}

# Whatever trade_status says: a payment partly refunded stays TRADE_SUCCESS.
REFUND: Final = TradeState(
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


def form_of(request: Request) -> form.Form:
    """Returns the form in a notice, in the charset that it declares.  Raises BadPayload."""
    return form.decode(request.body, " ".join(request.headers.get("content-type", ())))


def verified_fields(request: Request, trusted: TrustedKey, now: datetime) -> Fields:
    """Returns the fields of a notice that the key has signed.  Raises BadSignature, BadPayload."""
    trusted.check_time(now)
    received = form_of(request)
    fields = dict(received.fields)
    signature = strict_signature(fields.pop("sign", ""))
    sign_type = fields.pop("sign_type", None)
    if sign_type not in {SIGN_TYPE, None}:
        raise BadSignature(f"sign_type is not {SIGN_TYPE}", VerificationStep.HEADER)
    # Older families of notices sign sign_type as well.
    signed = [fields] if sign_type is None else [fields, {**fields, "sign_type": sign_type}]
    if not any(trusted.has_signed(signature, signing_text(each).encode(received.charset)) for each in signed):
        raise BadSignature(f"the signature is not by {trusted.label}")
    check_unambiguous(fields, DECIDING, LESS_STRICT)
    return fields


def strict_signature(sign: str) -> bytes:
    """Reads a signature, in the one way of writing that is taken: base64 whose unused bits are zero."""
    signature = signature_bytes(sign, "sign")
    if b64encode(signature).decode() != sign:
        raise BadSignature("sign is not base64 as it is written", VerificationStep.HEADER)
    return signature


def event_of(account: str, fields: Fields, trans_currency: str) -> PaymentEvent | None:
    """Returns the event in a notice; None where it is about no trade, or in a word or currency that is not known.

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
    return webhook_event(
        _payment_fact(fields, state, currency) if total is None else _refund_fact(fields, total, currency),
        account=account,
        event_id=fields.get("notify_id") or _event_id(fields, state, occurred_at, total),
        reported_at=occurred_at,
    )


def _payment_fact(fields: Fields, state: TradeState, currency: str) -> Fact:
    return Fact(
        kind=state.kind,
        order_ref=fields.get("out_trade_no") or None,
        payment_ref=fields.get("trade_no") or None,
        amount=_amount(fields, currency),
        currency=currency,
        failure=state.failure,
        failure_code=fields["trade_status"] if state.failure else None,
        method=_method(fields),
        has_refunds=bool(fields.get("gmt_refund")),
    )


def _refund_fact(fields: Fields, total: int, currency: str) -> Fact:
    return Fact(
        kind=REFUND.kind,
        order_ref=fields.get("out_trade_no") or None,
        payment_ref=fields.get("trade_no") or None,
        refund_ref=fields.get("out_biz_no") or None,
        total=total,
        currency=currency,
    )


def _state_of(fields: Fields) -> TradeState | None:
    """Returns None for what is about no trade (a contract, an authorization, a message), and for a state that is not
    known."""
    word = fields.get("trade_status")
    if not word:
        return None
    return known_or_none(STATES, word, "trade_status")


def _refunded(fields: Fields, currency: str) -> int | None:
    """Returns what the payment has given back so far, or None if the notice says no sum: with a gmt_refund all the same
    it says that there is one, which happens to no notice seen.

    Notices of payments and of unpaid closing may carry refund_fee=0.00, which is no refund.  A trade that was paid and
    is closed gave all back, said or not, as an answer of that state is read too.
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


def _event_id(fields: Fields, state: TradeState, occurred_at: datetime, total: int | None) -> str:
    """Stands in for a missing notify_id: what stays the same when a notice is repeated, and tells refunds apart."""
    refund = "" if total is None else f":{total}"
    return f"{fields.get('trade_no', '')}:{state.kind}:{occurred_at:%Y%m%dT%H%M%SZ}{refund}"


def _method(fields: Fields) -> str | None:
    """Returns the payment's channel: a notice writes the channels as JSON, in other letters than an answer."""
    try:
        return method_in(strictjson.loads(fields.get("fund_bill_list", "").encode()), "fundChannel")
    except BadPayload:
        return None
