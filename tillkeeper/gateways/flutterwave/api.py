"""Builds queries to Flutterwave's API, of both versions and reads the responses: tokens, where objects are found, and
what a response holds.

Sources: Flutterwave's pages "Transaction verification" and "Authentication", of v3 and of v4.
"""

import re
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.flutterwave.objects import order_ref_of
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, integer, number, text, text_or_none
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, DENIED_STATUSES, NOT_FOUND, OK, check_status, status_error
from tillkeeper.gateways.messages import Query, Response, Token

BAD_CREDENTIALS_STATUSES: Final = DENIED_STATUSES | {BAD_REQUEST}  # the last is OAuth's word for them
TOKEN_S_MAX: Final = 3600  # it is said to live for ten minutes

_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
_NOT_FOUND: Final = ("not found", "not_found", "no transaction was found")


def token_in(response: Response, now: datetime) -> Token:
    """Returns v4's token, and until when it lives."""
    check_status(response, denied=BAD_CREDENTIALS_STATUSES)
    content = strictjson.loads(response.body)
    lives_s = integer(content, "expires_in")
    if not 0 < lives_s <= TOKEN_S_MAX:
        raise BadPayload("a token lives for a strange time")
    return Token(value=text(content, "access_token"), until=now + timedelta(seconds=lives_s))


def path_of(query: Query, *, is_v3: bool) -> str:
    """Returns the path and query string of the call for a query.  Raises CannotQuery."""
    if query.about == "refund":
        return f"{'/v3' if is_v3 else ''}/refunds/{_quoted(query.refund_ref)}"
    if query.payment_ref is not None:
        ref = _quoted(query.payment_ref)
        return f"/v3/transactions/{ref}/verify" if is_v3 else f"/charges/{ref}"
    if not query.order_ref:
        raise CannotQuery("neither the charge's id nor its reference is known")
    if is_v3:
        return f"/v3/transactions/verify_by_reference?{urlencode({'tx_ref': query.order_ref})}"
    return f"/charges?{urlencode({'reference': query.order_ref})}"


def _quoted(ref: str | None) -> str:
    if ref is None or not _REFERENCE.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that Flutterwave does not use")
    return quote(ref, safe="")


def charges_in(query: Query, data: object) -> list[object]:
    """Returns the charge that the query is about, or those of its order: v4 lists all, v3 gives one."""
    if query.payment_ref is None:
        charges = data if isinstance(data, list) else [data]
        return [charge for charge in charges if order_ref_of(charge) == query.order_ref]
    if number(data, "id") != query.payment_ref:
        raise BadPayload("the response is about another charge than the query")
    return [data]


def data_of(response: Response) -> object:
    """Returns what a response holds; None where Flutterwave knows of no such thing."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND})
    content = strictjson.loads(response.body)
    status = text_or_none(content, "status")
    if response.status == OK and status == "success":
        return [] if (data := at(content, ["data"])) is None else data
    if response.status != OK and status in {"error", "failed"}:
        # v3 says it in the message, v4 by the error's type.
        error = at(content, ["error"])
        error_type = text_or_none(error, "type") if isinstance(error, dict) else None
        description = f"{text_or_none(content, 'message')} {error_type}".lower()
        if any(words in description for words in _NOT_FOUND):
            return None
    raise status_error(response)
