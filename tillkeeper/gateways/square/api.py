"""Builds queries to Square's API and reads the responses: where a payment or a refund is found, and what a response
holds.

Sources: the package `squareup` and its types.
"""

import re
from typing import Final
from urllib.parse import quote

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, status_error
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.square.objects import error_codes

API_VERSION: Final = "2026-09-16"  # pinned, for an application's own default decides what an object looks like

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)


def path_of(query: Query) -> str:
    """Returns the path of an object by its id.  Raises CannotQuery."""
    ref = _ref_of(query)
    if ref is None:
        raise CannotQuery("Square finds a payment or refund by its own id alone")
    if not _ID.fullmatch(ref):
        raise CannotQuery("the reference is not one of Square's")
    return f"/v2/{query.about}s/{quote(ref, safe='')}"


def _ref_of(query: Query) -> str | None:
    return query.refund_ref if query.about == "refund" else query.payment_ref


def subject_in(query: Query, response: Response) -> object | None:
    """Returns the object that the query is about; None where Square knows of none such."""
    content = _content_of(response)
    if content is None:
        return None
    subject = at(content, [query.about])
    if text(subject, "id") != _ref_of(query):
        raise BadPayload("the response is about another object than the query")
    return subject


def _content_of(response: Response) -> object:
    """Returns what the response holds; None where Square knows of no such thing."""
    if response.status == OK:
        content = strictjson.loads(response.body)
        if content is None:
            raise BadPayload("the response is null")
        return content
    try:
        codes = error_codes(strictjson.loads(response.body))
    except BadPayload:
        codes = []
    if response.status == NOT_FOUND and "NOT_FOUND" in codes:
        return None
    raise status_error(response, f", codes {', '.join(codes) or 'none'}")
