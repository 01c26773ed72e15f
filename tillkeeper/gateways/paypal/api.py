"""Asking PayPal: where each object is found, and what its present state says.  TLS vouches; nothing is signed.

Sources: PayPal's references of Orders v2, Payments v2 and Payments v1, and "Get an access token".
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.http_status import (
    BAD_REQUEST,
    DENIED_STATUSES,
    NOT_FOUND,
    OK_OR_NOT_FOUND,
    TOO_MANY_REQUESTS,
    check_status,
    status_error,
)
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Call, Query, Response, Token
from tillkeeper.gateways.paypal import objects
from tillkeeper.gateways.paypal.objects import AUTHORIZATION, DISPUTE, ORDER, SALE, Said

RETRY_STATUSES: Final = frozenset({408, TOO_MANY_REQUESTS})
BAD_CREDENTIALS_STATUSES: Final = DENIED_STATUSES | {BAD_REQUEST}
NOT_FOUND_NAMES: Final = frozenset({"RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"})
TOKEN_CHARS_MAX: Final = 4096
TOKEN_SECONDS_MAX: Final = 30 * 86_400
_TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,32}", re.ASCII)
_DISPUTE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # such as PP-D-4012

PAYMENT_PATHS: Final[Mapping[str, str]] = {
    ORDER: "/v2/checkout/orders/",
    AUTHORIZATION: "/v2/payments/authorizations/",
    SALE: "/v1/payments/sale/",
    DISPUTE: "/v1/customer/disputes/",
    "": "/v2/payments/captures/",
}
REFUND_PATHS: Final[Mapping[str, str]] = {SALE: "/v1/payments/refund/", "": "/v2/payments/refunds/"}
# What is not listed here was not paid for yet, or is not known: nothing changes by it.
ORDERS: Final[Mapping[str, tuple[Kind, FailureClass | None]]] = {
    "APPROVED": (Kind.PAYMENT_PENDING, None),
    "VOIDED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
}
CAME_TO_NOTHING: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})
ORDERS_UNPAID: Final = frozenset({"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"})


def path_of(query: Query) -> str:
    """Where the object is.  Raises CannotQuery."""
    is_refund = query.about == "refund"
    prefix, own = _split(query.refund_ref if is_refund else query.payment_ref, is_refund=is_refund)
    return f"{(REFUND_PATHS if is_refund else PAYMENT_PATHS)[prefix]}{own}"


def _split(ref: str | None, *, is_refund: bool) -> tuple[str, str]:
    paths = REFUND_PATHS if is_refund else PAYMENT_PATHS
    prefix = next(it for it in paths if (ref or "").startswith(it))  # the last is empty
    own = (ref or "").removeprefix(prefix)
    if not (_DISPUTE_ID if prefix == DISPUTE else _ID).fullmatch(own):
        raise CannotQuery("the reference is missing, or not one of PayPal's")
    return prefix, own


def content_of(response: Response) -> object:
    """What the response holds, or None where PayPal knows of no such thing."""
    check_status(response, accepted=OK_OR_NOT_FOUND, retry=RETRY_STATUSES)
    content = strictjson.loads(response.body)
    if response.status == NOT_FOUND:
        if text_or_none(content, "name") in NOT_FOUND_NAMES:
            return None
        raise status_error(response)
    if not isinstance(content, dict):
        raise BadPayload("the answer is no object")
    return content


def states(query: Query, content: object, is_ours: Callable[[object], bool]) -> Iterator[Said]:
    """What the object says that was asked about; of an order, what its units say that are ours."""
    is_refund = query.about == "refund"
    prefix, own = _split(query.refund_ref if is_refund else query.payment_ref, is_refund=is_refund)
    if text(content, "dispute_id" if prefix == DISPUTE else "id") != own:
        raise BadPayload("the answer is about another object than the question")
    if is_refund:
        yield from _refund_state(query, objects.sale_refund(content) if prefix == SALE else objects.refund(content))
    elif prefix == ORDER:
        yield from _order_states(content, is_ours)
    elif prefix == DISPUTE:
        yield objects.dispute(content)
    elif prefix == AUTHORIZATION:
        yield from _authorization_state(content)
    else:
        yield from _capture_states(content, prefix)


def asked_besides(query: Query, content: object) -> tuple[Query, ...]:
    """What an answer says to ask besides: the payment of a refund that was not known, and what was captured of what."""
    if query.about == "refund":
        is_sale = (query.refund_ref or "").startswith(SALE)
        said = objects.sale_refund(content) if is_sale else objects.refund(content)
        found = None if said is None or query.payment_ref is not None else said.payment_ref
    else:
        found = _other_half(query, content)
    if found is None or found == query.payment_ref:
        return ()
    besides = Query(about="payment", order_ref=query.order_ref, payment_ref=found)
    try:
        path_of(besides)
    except CannotQuery:
        return ()
    return (besides,)


def _other_half(query: Query, content: object) -> str | None:
    """An authorization that was captured knows of its order, whose answer lists captures; a capture knows of both."""
    ref = query.payment_ref or ""
    if ref.startswith((ORDER, SALE, DISPUTE)):
        return None
    said = objects.payment(Kind.PAYMENT_PENDING)(content)
    if ref.startswith(AUTHORIZATION):
        return said.order if text(content, "status") in {"CAPTURED", "PARTIALLY_CAPTURED"} else None
    return None if said.is_last else said.authorization


def _refund_state(query: Query, said: Said | None) -> Iterator[Said]:
    if said is None:
        return
    payment_ref = said.payment_ref or query.payment_ref
    if payment_ref is None:
        raise BadPayload("the refund names no capture or sale")
    yield msgspec.structs.replace(said, payment_ref=payment_ref)


def _capture_states(content: object, prefix: str = "") -> Iterator[Said]:
    """What it brought in.  What it gave back is told by its refunds, unless that is all of it.

    It came in when the capture was made: what changed it since may have taken it back.
    """
    status = text(content, "state").upper() if prefix == SALE else text(content, "status")
    if status not in objects.CAPTURES:
        unknown_word("status of a capture", status)
        return
    kind = objects.CAPTURES[status]
    said = objects.payment(kind, prefix, undoes=kind is Kind.PAYMENT_FAILED)(content)
    if said.kind is Kind.PAYMENT_SUCCEEDED:
        made = text_or_none(content, "create_time")
        said = msgspec.structs.replace(said, since=said.since if made is None else moment_from_rfc3339(made))
    yield from (it for _, it in objects.all_of(said))
    if status == "REFUNDED":
        yield msgspec.structs.replace(said, kind=Kind.REFUND_SUCCEEDED, amount=None, total=said.amount)


def _authorization_state(content: object) -> Iterator[Said]:
    status = text(content, "status")
    if status not in objects.AUTHORIZATIONS:
        unknown_word("status of an authorization", status)
        return
    kind, failure = objects.AUTHORIZATIONS[status]
    said = objects.payment(kind, AUTHORIZATION, failure)(content)
    if kind is Kind.PAYMENT_SUCCEEDED:
        said = msgspec.structs.replace(said, amount=0)
    yield from (it for _, it in objects.all_of(said))


def _order_states(content: object, is_ours: Callable[[object], bool]) -> Iterator[Said]:
    """Where it was paid, its captures, authorizations and refunds tell; where nothing came of all, nor did of it."""
    status, ref = text(content, "status"), f"{ORDER}{text(content, 'id')}"
    units = [unit for unit in objects.purchase_units(content) if is_ours(unit)]
    told = [said for unit in units for said in _unit_states(unit) if said.payment_ref != ref]
    standing = [said for said in told if said.kind in objects.STANDS]
    if standing:
        yield objects.finished(standing[-1], ref)
    elif status in ORDERS:
        yield objects.order(content, *ORDERS[status])
    elif status not in {"COMPLETED", *ORDERS_UNPAID}:
        unknown_word("status of an order", status)
    yield from told
    ends = [it for it in told if it.kind is not Kind.PAYMENT_REVERSED]
    if ends and status == "COMPLETED" and all(it.kind in CAME_TO_NOTHING for it in ends):
        last = ends[-1]
        over = objects.order(content, last.kind, last.failure)
        since = max(filter(None, (over.since, last.since)), default=None)  # not before its approval, by either's time
        yield msgspec.structs.replace(over, since=since, failure_code=last.failure_code)


def _unit_states(unit: object) -> Iterator[Said]:
    order_ref = objects.order_ref_of(unit)
    told = [said for it in _listed(unit, "captures") for said in _capture_states(it)]
    told += [said for it in _listed(unit, "authorizations") for said in _authorization_state(it)]
    told += [said for it in _listed(unit, "refunds") for said in objects.refund_and_total(it)]
    for said in told:
        yield msgspec.structs.replace(said, order_ref=said.order_ref or order_ref)


def _listed(unit: object, name: str) -> list[object]:
    found = at(unit, ["payments", name])
    if found is not None and not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found or []


def signing_in(api_base: str, client_id: str, client_secret: str) -> Call:
    """Asks for a token, by the client's own name."""
    credentials = b64encode(f"{client_id}:{client_secret}".encode()).decode()
    return Call(
        method="POST",
        url=f"{api_base}/v1/oauth2/token",
        headers={
            "Accept": "application/json",
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=b"grant_type=client_credentials",
    )


def token_in(response: Response, now: datetime) -> Token:
    """The token and until when it may be sent."""
    check_status(response, retry=RETRY_STATUSES, denied=BAD_CREDENTIALS_STATUSES)
    content = content_of(response)
    value, lives_s = text(content, "access_token"), integer(content, "expires_in")
    if len(value) > TOKEN_CHARS_MAX or not _TOKEN.fullmatch(value):
        raise BadPayload("access_token is no token")
    if not 0 < lives_s <= TOKEN_SECONDS_MAX:
        raise BadPayload("expires_in is no span of a token")
    return Token(value=value, until=now + timedelta(seconds=lives_s))
