"""Builds queries to Razorpay's API and reads the responses: where each object is found, and what a response holds.

TLS vouches for responses; nothing in them is signed.

Sources: the package `razorpay`, `constants/url.py`; razorpay.com/docs, the pages on the APIs and on errors.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlencode

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, NOT_FOUND, OK, status_error
from tillkeeper.gateways.messages import Query, Response

ORDERS_MAX: Final = 100  # orders of one receipt; more are no merchant's
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)
_ORDER_ID: Final = re.compile(r"order_[A-Za-z0-9]{14}", re.ASCII)  # Razorpay's own; order_1001 is a merchant's
_RECEIPT: Final = re.compile(r"[!-~](?:[ -~]{0,38}[!-~])?", re.ASCII)  # Razorpay keeps 40 characters
_CODE: Final = re.compile(r"[A-Za-z_]{1,64}", re.ASCII)
_NO_SUCH_ID: Final = re.compile(r"does not exist|is not a valid id", re.IGNORECASE)


def path_of(query: Query) -> str:
    """Returns the path and query string of the call for a query.  Raises CannotQuery."""
    if query.about == "refund":
        return f"/v1/refunds/{_checked(query.refund_ref)}"
    if query.payment_ref is not None:
        return f"/v1/payments/{_checked(query.payment_ref)}"
    if query.order_ref is not None and _ORDER_ID.fullmatch(query.order_ref):
        return f"/v1/orders/{_checked(query.order_ref)}/payments"
    if query.order_ref is None or not _RECEIPT.fullmatch(query.order_ref):
        raise CannotQuery("the order's reference is missing, or none that Razorpay keeps as a receipt")
    return f"/v1/orders?{urlencode([('receipt', query.order_ref), ('count', ORDERS_MAX), ('expand[]', 'payments')])}"


def _checked(ref: str | None) -> str:
    if ref is None or not _ID.fullmatch(ref):
        raise CannotQuery("a reference is missing, or not one of Razorpay's")
    return quote(ref, safe="")


def found_in(query: Query, content: object) -> Iterator[object]:
    """Yields the objects in a response that the query is about."""
    if query.about == "payment" and query.payment_ref is None:
        by_id = _ORDER_ID.fullmatch(query.order_ref or "") is not None
        for item in _items(content):
            if by_id and text_or_none(item, "order_id") == query.order_ref:
                yield item
            elif not by_id and text_or_none(item, "receipt") == query.order_ref:
                yield from _items(at(item, ["payments"]))
        return
    ref = query.refund_ref if query.about == "refund" else query.payment_ref
    if text(content, "id") != ref:
        raise BadPayload("the response is about another object than the query")
    yield content


def _items(collection: object) -> list[object]:
    if collection is None:
        return []
    items = at(collection, ["items"])
    if not isinstance(items, list):
        raise BadPayload("items is no list")
    return items


def content_of(response: Response) -> object:
    """Returns the object in a response; None where Razorpay knows of no such thing."""
    if response.status == OK:
        return strictjson.object_in(response.body)
    code, description = _error(response.body)
    if response.status in (BAD_REQUEST, NOT_FOUND) and code == "BAD_REQUEST_ERROR" and _NO_SUCH_ID.search(description):
        return None
    raise status_error(response, f", code {code}")


def _error(body: bytes) -> tuple[str | None, str]:
    """Returns the error's code and description; the description may repeat the query, so only the code is reported."""
    try:
        error = at(strictjson.loads(body), ["error"])
        code, description = text_or_none(error, "code"), text_or_none(error, "description") or ""
    except BadPayload:
        return None, ""
    return (code if code and _CODE.fullmatch(code) else None), description
