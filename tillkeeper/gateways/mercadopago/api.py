"""Builds queries to Mercado Pago's API and reads the responses: where payments are found, and what a response holds.

Source: Mercado Pago's API reference.
"""

import re
from typing import Final
from urllib.parse import quote, urlencode

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, reference_or_none, text_or_none
from tillkeeper.gateways.kit.http_status import (
    BAD_REQUEST,
    NOT_FOUND,
    OK,
    TOO_MANY_REQUESTS,
    check_status,
    status_error,
)
from tillkeeper.gateways.mercadopago.objects import id_of, list_in, order_ref_of
from tillkeeper.gateways.messages import Query, Response

SEARCHED_MAX: Final = 100  # attempts to pay one order; more are no payer's
RETRY_STATUSES: Final = frozenset({423, TOO_MANY_REQUESTS})  # 423: the payment is just being changed

_WORD: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)


def path_of(query: Query) -> str:
    """Returns the path and query string of the call for a query.  Raises CannotQuery.

    A refund stands in its payment, with its currency.
    """
    if query.about == "refund" and (query.refund_ref is None or query.payment_ref is None):
        raise CannotQuery("a refund is only found in its payment")
    if query.payment_ref is not None:
        if reference_or_none(query.payment_ref) is None:
            raise CannotQuery("the payment's reference has characters that Mercado Pago does not use")
        return f"/v1/payments/{quote(query.payment_ref, safe='')}"
    if not query.order_ref:
        raise CannotQuery("neither the payment's reference nor its order's is known")
    search = {"external_reference": query.order_ref, "sort": "date_created", "criteria": "desc"}
    return f"/v1/payments/search?{urlencode(search | {'limit': SEARCHED_MAX})}"


def payments_in(query: Query, content: object) -> list[object]:
    """Returns the payment in a response, or the order's payments that a search found."""
    if query.payment_ref is None:
        if at(content, ["results"]) is None:
            raise BadPayload("the search has no results, not even an empty list")
        return [payment for payment in list_in(content, "results") if order_ref_of(payment) == query.order_ref]
    if id_of(content) != query.payment_ref:
        raise BadPayload("the response is about another payment than the query")
    return [content]


def content_of(response: Response) -> object:
    """Returns what a response holds; None where Mercado Pago knows of no such payment."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND}, retry=RETRY_STATUSES)
    content = strictjson.object_in(response.body)
    if response.status == OK:
        return content
    error = text_or_none(content, "error")
    if response.status == NOT_FOUND and error in {"not_found", "resource not found"}:
        return None
    raise status_error(response, f", error {error if error and _WORD.fullmatch(error) else None}")
