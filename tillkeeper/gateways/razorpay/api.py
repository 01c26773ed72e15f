"""Asking Razorpay: where each object is found, and what its answers mean.  TLS vouches for them; nothing is signed.

Sources: the package `razorpay`, `constants/url.py`; razorpay.com/docs, the pages on the APIs and on errors.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlencode

from tillkeeper.gateways.base import AskAgain, BadPayload, CannotAsk, Denied, Heard, Question
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text, text_or_none

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
TOO_MANY: Final = 429
BROKEN: Final = 500
DENIED_STATUSES: Final = frozenset({401, 403})
ORDERS_MAX: Final = 100  # orders of one receipt; more are no merchant's
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)
_ORDER_ID: Final = re.compile(r"order_[A-Za-z0-9]{14}", re.ASCII)  # Razorpay's own; order_1001 is a merchant's
_RECEIPT: Final = re.compile(r"[!-~](?:[ -~]{0,38}[!-~])?", re.ASCII)  # Razorpay keeps 40 characters
_CODE: Final = re.compile(r"[A-Za-z_]{1,64}", re.ASCII)
_NO_SUCH_ID: Final = re.compile(r"does not exist|is not a valid id", re.IGNORECASE)


def path_of(question: Question) -> str:
    """Path and query of what answers the question.  Raises CannotAsk."""
    if question.about == "refund":
        return f"/v1/refunds/{_checked(question.refund_ref)}"
    if question.payment_ref is not None:
        return f"/v1/payments/{_checked(question.payment_ref)}"
    if question.order_ref is not None and _ORDER_ID.fullmatch(question.order_ref):
        return f"/v1/orders/{_checked(question.order_ref)}/payments"
    if question.order_ref is None or not _RECEIPT.fullmatch(question.order_ref):
        raise CannotAsk("the order's reference is missing, or none that Razorpay keeps as a receipt")
    return f"/v1/orders?{urlencode([('receipt', question.order_ref), ('count', ORDERS_MAX), ('expand[]', 'payments')])}"


def _checked(ref: str | None) -> str:
    if ref is None or not _ID.fullmatch(ref):
        raise CannotAsk("a reference is missing, or not one of Razorpay's")
    return quote(ref, safe="")


def found_in(question: Question, content: object) -> Iterator[object]:
    """The objects of an answer that are what was asked about."""
    if question.about == "payment" and question.payment_ref is None:
        by_id = _ORDER_ID.fullmatch(question.order_ref or "") is not None
        for it in _items(content):
            if by_id and text_or_none(it, "order_id") == question.order_ref:
                yield it
            elif not by_id and text_or_none(it, "receipt") == question.order_ref:
                yield from _items(at(it, ["payments"]))
        return
    ref = question.refund_ref if question.about == "refund" else question.payment_ref
    if text(content, "id") != ref:
        raise BadPayload("the answer is about another object than the question")
    yield content


def _items(collection: object) -> list[object]:
    if collection is None:
        return []
    items = at(collection, ["items"])
    if not isinstance(items, list):
        raise BadPayload("items is no list")
    return items


def content_of(heard: Heard) -> object:
    """What the response holds, or None where Razorpay knows of no such thing."""
    if heard.status == OK:
        content = strictjson.loads(heard.body)
        if not isinstance(content, dict):
            raise BadPayload("the answer is no object")
        return content
    code, description = _error(heard.body)
    if heard.status in (BAD_REQUEST, NOT_FOUND) and code == "BAD_REQUEST_ERROR" and _NO_SUCH_ID.search(description):
        return None
    told = f"status {heard.status}, code {code}"
    if heard.status == TOO_MANY or heard.status >= BROKEN:
        raise AskAgain(told)
    if heard.status in DENIED_STATUSES:
        raise Denied(told)
    raise BadPayload(told)


def _error(body: bytes) -> tuple[str | None, str]:
    """The code and what it says; only the code is fit to be told on, for the other may repeat what was asked."""
    try:
        error = at(strictjson.loads(body), ["error"])
        code, description = text_or_none(error, "code"), text_or_none(error, "description") or ""
    except BadPayload:
        return None, ""
    return (code if code and _CODE.fullmatch(code) else None), description
