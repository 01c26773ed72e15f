"""Builds queries to Paystack's API and reads the responses: where transactions and refunds are found, and what a
response holds.

Sources: Paystack's API reference; its pages "Verify payments" and "Refunds".
"""

import re
from typing import Final, cast
from urllib.parse import quote

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text_or_none
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, NOT_FOUND, OK, check_status, status_error
from tillkeeper.gateways.messages import Query, Response

EVERY_REFUND: Final = "all"  # in the place of a refund's number, of which it is none
LISTED_MAX: Final = 100  # refunds of one transaction; the most that Paystack lists at once

_REFERENCE: Final = re.compile(r"[A-Za-z0-9.=_-]{1,100}", re.ASCII)  # what Paystack allows in a reference
_DOTS: Final = re.compile(r"\.+")
_CODE: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)
_NOT_FOUND_WORDS: Final = ("not_found", "not found")


def path_of(query: Query, *, finds_orders: bool) -> str:
    """Returns the path and query string of the call for a query.  Raises CannotQuery.

    `finds_orders` says that an order's reference is its transaction's as well.
    """
    if query.about == "refund":
        return _path_of_refund(query)
    if query.payment_ref is None and not finds_orders:
        raise CannotQuery("a payment is only found by its own reference where order_ref_path is set")
    return f"/transaction/verify/{_quoted(query.payment_ref or query.order_ref)}"


def _path_of_refund(query: Query) -> str:
    if query.refund_ref == EVERY_REFUND:
        return f"/refund?transaction={_quoted(query.payment_ref)}&perPage={LISTED_MAX}"
    return f"/refund/{_quoted(query.refund_ref)}"


def _quoted(ref: str | None) -> str:
    if ref is None or not _REFERENCE.fullmatch(ref) or _DOTS.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that Paystack does not allow")
    return quote(ref, safe="")


def refunds_in(query: Query, data: object) -> list[object]:
    """Returns the refund that the query is about, or all that are listed."""
    if query.refund_ref != EVERY_REFUND:
        return [data]
    if data and not isinstance(data, list):
        raise BadPayload("the response lists no refunds")
    return cast("list[object]", data or [])


def data_of(response: Response) -> object:
    """Returns what a response holds; None where Paystack knows of no such thing."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND})
    content = strictjson.loads(response.body)
    if response.status == OK and at(content, ["status"]) is True:
        return at(content, ["data"]) or {}
    if response.status != OK and at(content, ["status"]) is False:
        # Which of the two statuses it is, and whether a code says it, hangs on Paystack's version.
        description = f"{text_or_none(content, 'code')} {text_or_none(content, 'message')}".lower()
        if any(words in description for words in _NOT_FOUND_WORDS):
            return None
    code = text_or_none(content, "code")
    raise status_error(response, f", code {code if code and _CODE.fullmatch(code) else None}")
