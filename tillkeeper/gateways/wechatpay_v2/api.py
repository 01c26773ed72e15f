"""WeChat Pay v2's fields: how they are signed, what payments say, and the two queries with their answers.

Sources: the package `wechatpy` (`pay/utils.py`) for the signature; WeChat Pay's pages "支付结果通知", "查询订单" and
"查询退款" for fields, states and codes.
"""

import hashlib
import hmac
import html
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, TypeVar

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import with_stand_in_closed
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.wechatpay.api import is_by_order
from tillkeeper.gateways.wechatpay.objects import REFUND, TRADE_STATES, State

SignType = Literal["MD5", "HMAC-SHA256"]
Fields = Mapping[str, str]
K = TypeVar("K", bound=Kind | None)

OK: Final = "SUCCESS"
FAIL: Final = "FAIL"
TOPS: Final = frozenset({"xml", "root"})  # notices and answers; what is encrypted in a refund's notice
PAYMENT_PATH: Final = "/pay/orderquery"
REFUND_PATH: Final = "/pay/refundquery"
NONCE_CHARS_MAX: Final = 32
COMBINED: Final = frozenset({"return_code", "result_code", "trade_type", "fee_type", "err_code"})  # said of all orders
REFUNDS_MAX: Final = 50  # of one payment, as WeChat Pay allows

REFUND_STATUSES: Final[Mapping[str, State[Kind]]] = {
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "PROCESSING": State(kind=Kind.REFUND_PENDING),
    "CHANGE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.ACCOUNT_FROZEN),  # the payer's card is void
    "REFUNDCLOSE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN),
}

# err_code of a payment that did not succeed.
ERRORS: Final[Mapping[str, State[Kind | None]]] = {
    "USERPAYING": State(kind=Kind.PAYMENT_PENDING),  # the payer is typing the password
    **{
        code: State(kind=Kind.PAYMENT_FAILED, failure=failure)
        for code, failure in {
            "NOTENOUGH": FailureClass.INSUFFICIENT_FUNDS,
            "ORDERCLOSED": FailureClass.EXPIRED_UNPAID,
            "SYSTEMERROR": FailureClass.GATEWAY_FAULT,
            "BANKERROR": FailureClass.GATEWAY_FAULT,
            "AUTHCODEEXPIRE": FailureClass.BANK_VERIFICATION_FAILED,
            "AUTH_CODE_ERROR": FailureClass.BANK_VERIFICATION_FAILED,
            "AUTH_CODE_INVALID": FailureClass.BANK_VERIFICATION_FAILED,
            "NOTSUPORTCARD": FailureClass.METHOD_UNAVAILABLE,  # their spelling
        }.items()
    },
}
UNKNOWN_ERROR: Final[State[Kind | None]] = State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN)

# err_code of a query that was not answered.
NOT_FOUND_CODES: Final = frozenset({"ORDERNOTEXIST", "REFUNDNOTEXIST"})
AGAIN_CODES: Final = frozenset({"SYSTEMERROR", "BIZERR_NEED_RETRY", "FREQUENCY_LIMITED"})
DENIED_CODES: Final = frozenset({"SIGNERROR", "NOAUTH", "APPID_NOT_EXIST", "MCHID_NOT_EXIST", "APPID_MCHID_NOT_MATCH"})

_REF: Final = re.compile(r"[0-9A-Za-z_|*@-]{1,64}", re.ASCII)  # what WeChat Pay allows in a merchant's numbers
_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)
_FEN: Final = re.compile(r"\d{1,18}", re.ASCII)


def signature(fields: Fields, api_key: str, sign_type: SignType) -> str:
    """Over every field with a value but `sign` itself, whatever fields there are."""
    pairs = [f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value]
    signed = "&".join([*pairs, f"key={api_key}"])
    if sign_type == "MD5":
        return hashlib.md5(signed.encode(), usedforsecurity=False).hexdigest().upper()  # the scheme's, not our choice
    return hmac.digest(api_key.encode(), signed.encode(), "sha256").hex().upper()


def asked(query: Query) -> tuple[str, dict[str, str]]:
    """The path, and what the query names.  A refund is known by the merchant's own number; without one all refunds
    of a payment are asked about."""
    if query.about == "refund" and query.refund_ref is None:
        return REFUND_PATH, {"transaction_id": _ref(query.payment_ref)}
    if query.about == "refund":
        return REFUND_PATH, {"out_refund_no": _ref(query.refund_ref)}
    if is_by_order(query):
        return PAYMENT_PATH, {"out_trade_no": _ref(query.order_ref)}
    return PAYMENT_PATH, {"transaction_id": _ref(query.payment_ref)}


def _ref(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that WeChat Pay does not allow")
    return ref


def written(fields: Fields) -> bytes:
    """The fields as XML."""
    return b"<xml>%b</xml>" % b"".join(
        f"<{name}>{html.escape(value, quote=False)}</{name}>".encode() for name, value in fields.items()
    )


def check_door(fields: Fields) -> None:
    """Raises for what is told without a signature: nothing is known of the payment, and the query was no good."""
    code = code_of(fields)
    if code in AGAIN_CODES:
        raise Unavailable(f"code {code}")
    if code in DENIED_CODES:
        raise AccessDenied(f"code {code}")
    if text(fields, "return_code") != OK:  # its reason is free text, and mostly the signature or a number of ours
        raise AccessDenied(
            "return_code is not SUCCESS: are mch_id, app_id, api_key and sign_type those of the platform?"
        )


def code_of(fields: Fields) -> str | None:
    """The error code, if it looks like one; texts beside it may repeat what was asked."""
    code = text_or_none(fields, "err_code")
    return code if code and _CODE.fullmatch(code) else None


def is_of_payments(fields: Fields) -> bool:
    """Whether a notice is about a payment or several; others are about contracts, cars, risks, and things rented."""
    return any(fields.get(name) for name in ("out_trade_no", "transaction_id", "sub_order_list"))


def orders_of(fields: Fields) -> list[Fields]:
    """The one order of a notice, or those of a combined payment (合单), each as if it had a notice of its own."""
    if not fields.get("sub_order_list"):
        return [fields]
    orders = at(strictjson.loads(fields["sub_order_list"].encode()), ["order_list"])
    if not isinstance(orders, list) or not all(isinstance(it, dict) for it in orders):
        raise BadPayload("sub_order_list holds no order_list of orders")
    shared = {name: value for name, value in fields.items() if name in COMBINED}
    return [shared | {name: str(value) for name, value in it.items() if value is not None} for it in orders]


def state_of(field: str, word: str, table: Mapping[str, State[K]]) -> State[K] | None:
    """None for a word that is not known: nothing is guessed of what it means."""
    if word not in table:
        unknown_word(field, word)
    return table.get(word)


def refunds_of(event: PaymentEvent, query: Query) -> Query:
    """All that a payment gave back, asked as its payment was."""
    return Query(about="refund", order_ref=event.order_ref, payment_ref=event.payment_ref, sub_mch_id=query.sub_mch_id)


def payment_event(
    account: str, fields: Fields, state: State[Kind | None], told_at: datetime, word: str
) -> PaymentEvent | None:
    """`total_fee` is what the order costs; less is settled when a coupon of WeChat Pay's paid a part of it.

    Before it is paid a transaction may have no number: the order's own stands in, as it does in queries.
    """
    if (kind := state.kind) is None:
        return None
    time_end = text_or_none(fields, "time_end")
    order_ref = text(fields, "out_trade_no")
    if kind is Kind.PAYMENT_SUCCEEDED:
        payment_ref = text(fields, "transaction_id")
    else:
        payment_ref = text_or_none(fields, "transaction_id") or order_ref
    is_priced = kind is Kind.PAYMENT_SUCCEEDED or text_or_none(fields, "total_fee") is not None
    currency = _currency(fields) if is_priced else None
    if is_priced and currency is None:
        return None
    return PaymentEvent(
        event_id="",
        kind=kind,
        account=account,
        occurred_at=told_at if time_end is None else moment_from_compact(time_end),
        order_ref=order_ref,
        payment_ref=payment_ref,
        amount=_amount(fields, "total_fee", currency),
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
        method=text_or_none(fields, "trade_type"),
        has_refunds=word == REFUND,
    )


def answer_events(account: str, query: Query, fields: Fields, told_at: datetime) -> list[PaymentEvent]:
    """What the answer says; a genuine answer to another query is none to this."""
    if query.about == "refund":
        made = (_refund_event(account, fields, told_at, number) for number in _refunds_asked(query, fields))
        return [it for it in made if it is not None]
    if is_by_order(query):
        _check_subject(fields, "out_trade_no", query.order_ref)
    else:
        _check_subject(fields, "transaction_id", query.payment_ref)
    word = text(fields, "trade_state")
    state = state_of("trade_state", word, TRADE_STATES)
    event = None if state is None else payment_event(account, fields, state, told_at, word)
    return with_stand_in_closed(query, event, told_at)


def _check_subject(fields: Fields, name: str, ref: str | None) -> None:
    if text(fields, name) != ref:
        raise BadPayload(f"{name} of the answer is not the question's")


def _refunds_asked(query: Query, fields: Fields) -> list[int]:
    """The numbers under which the answer tells the refund, or all refunds of the payment."""
    told = [number for number in range(REFUNDS_MAX) if fields.get(f"out_refund_no_{number}")]
    if query.refund_ref is None:
        _check_subject(fields, "transaction_id", query.payment_ref)
        return told
    found = [number for number in told if fields[f"out_refund_no_{number}"] == query.refund_ref]
    if not found:
        raise BadPayload("no out_refund_no of the answer is the question's")
    return found[:1]


def _refund_event(account: str, fields: Fields, told_at: datetime, number: int) -> PaymentEvent | None:
    """All have the time of the answer: none tells when the refund was made, so that a pending one has no other, and an
    outcome with a time of its own could seem to lie before it and be lost."""
    word = text(fields, f"refund_status_{number}")
    state, currency = state_of("refund_status", word, REFUND_STATUSES), _currency(fields)
    if state is None or currency is None:
        return None
    return PaymentEvent(
        event_id="",
        kind=state.kind,
        account=account,
        occurred_at=told_at,
        order_ref=text(fields, "out_trade_no"),
        payment_ref=text(fields, "transaction_id"),
        refund_ref=fields[f"out_refund_no_{number}"],
        amount=_amount(fields, f"refund_fee_{number}", currency),
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
    )


def _currency(fields: Fields) -> str | None:
    """Yuan where none is named."""
    return units.known_currency("fee_type", text_or_none(fields, "fee_type") or "CNY")


def _amount(fields: Fields, name: str, currency: str | None) -> int | None:
    """Minor units; None where there is no currency, for then there is no amount."""
    if currency is None:
        return None
    amount = text(fields, name)
    if not _FEN.fullmatch(amount):
        raise BadPayload(f"{name} is not a whole number")
    return units.from_minor(int(amount), currency)
