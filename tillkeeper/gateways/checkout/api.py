"""Asking Checkout.com: where each object is found, and what its present state says.  TLS vouches; nothing is signed.

Sources: Checkout.com's API reference, "Get payment details", "Get payment list", "Get payment actions".

Webhooks tell captures one by one and answers tell their sum, so where there are several the sum is told as the state of
all of them: the first holds it and the others nothing.  That stands in their place only if it is later than each, and
a capture may be as young as the answer, by another machine's clock.  So it is told as of some minutes after the answer,
more of them the more captures it knows, for then a later answer is later also within a second.  What is captured after
the answer is not among them, and counts by itself.  A capture happened when its action says, or else when the payment
was asked for: what undid it since must be the later.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.checkout.objects import APPROVED_PREFIX, Said, balance, failure_of
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, status_error
from tillkeeper.gateways.kit.units import is_currency
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Query, Response

LISTED_MAX: Final = 100  # attempts to pay one order; more are no payer's
LATER_BY: Final = timedelta(minutes=1)  # for each capture: clocks of one house are not as far apart as that
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)
_REFERENCE: Final = re.compile(r"[!-~](?:[ -~]{0,78}[!-~])?", re.ASCII)  # Checkout.com keeps 80 characters

TAKEN: Final = frozenset({"Captured", "Partially Captured", "Partially Refunded", "Refunded", "Paid"})
STATUSES: Final[Mapping[str, tuple[Kind, FailureClass | None] | None]] = {
    "Pending": (Kind.PAYMENT_PENDING, None),
    "Retry Scheduled": (Kind.PAYMENT_PENDING, None),
    "Authorized": (Kind.PAYMENT_AUTHORIZED, None),
    "Card Verified": None,  # no money was asked for
    "Declined": (Kind.PAYMENT_FAILED, None),  # its actions tell why
    "Voided": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "Canceled": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "Expired": (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
}


def path_of(query: Query) -> str:
    """Path and query of what answers the query.  Raises CannotQuery."""
    if query.about == "refund":
        if query.refund_ref is None:
            raise CannotQuery("a refund is found by its action's id")
        return f"/payments/{_checked(query.payment_ref)}/actions"
    if query.payment_ref is not None:
        return f"/payments/{_checked(query.payment_ref)}"
    if query.order_ref is None or not _REFERENCE.fullmatch(query.order_ref):
        raise CannotQuery("the order's reference is missing, or none that Checkout.com keeps")
    return f"/payments?{urlencode([('reference', query.order_ref), ('limit', LISTED_MAX)])}"


def _checked(ref: str | None) -> str:
    if ref is None or not _ID.fullmatch(ref):
        raise CannotQuery("the payment's reference is missing, or not one of Checkout.com's")
    return quote(ref, safe="")


def content_of(response: Response) -> object:
    """What the response holds, or None where Checkout.com knows of no such thing, which it says without a body."""
    if response.status == OK:
        content = strictjson.loads(response.body)
        if content is None:
            raise BadPayload("the answer is null")
        return content
    if response.status == NOT_FOUND and not response.body.strip():
        return None
    raise status_error(response)


def found_in(query: Query, content: object) -> Iterator[object]:
    """The objects of an answer that are what was asked about."""
    if query.about == "refund":
        actions = content if isinstance(content, list) else _list(content, "items")
        if not actions:
            raise BadPayload("a payment that gave something back has actions")
        yield from (it for it in actions if text(it, "id") == query.refund_ref)
    elif query.payment_ref is None:
        yield from (it for it in _list(content, "data") if text_or_none(it, "reference") == query.order_ref)
    elif text(content, "id") != query.payment_ref:
        raise BadPayload("the answer is about another object than the question")
    else:
        yield content


def payment_states(payment: object, query: Query, told_at: datetime) -> Iterator[Said]:  # noqa: ARG001
    """Its state: what was captured, by which actions, and what it gave back so far."""
    status = text(payment, "status")
    ref, order_ref, currency = text(payment, "id"), text_or_none(payment, "reference"), text(payment, "currency")
    method = text_or_none(payment, "source", "type")
    if not is_currency(currency.upper()):
        return
    if status in TAKEN:
        told, captures = _required(payment, "total_captured"), _captures(payment)
        as_of = told_at + len(captures) * LATER_BY if len(captures) > 1 else told_at
        for capture_ref, captured_at in captures:
            yield Said(
                kind=Kind.PAYMENT_SUCCEEDED,
                payment_ref=ref,
                order_ref=order_ref,
                capture_ref=capture_ref,
                amount=told,
                currency=currency,
                since=captured_at or _asked_at(payment),
                as_of=as_of,
                method=method,
            )
            told = 0  # the first holds it all
        yield from _rest_of(payment, Said(kind=Kind.PAYMENT_AUTHORIZED, payment_ref=ref, order_ref=order_ref))
        total = _required(payment, "total_refunded")
        if total != 0:
            yield Said(kind=Kind.REFUND_SUCCEEDED, payment_ref=ref, order_ref=order_ref, total=total, currency=currency)
        return
    if status not in STATUSES:
        unknown_word("status of a payment", status)
        return
    state = STATUSES[status]
    if state is not None:
        kind, failure = state
        why, code = _why(payment) if kind is Kind.PAYMENT_FAILED else (failure, None)
        yield Said(
            kind=kind,
            payment_ref=ref,
            order_ref=order_ref,
            amount=at(payment, ["amount"]),
            currency=currency,
            failure=why,
            failure_code=code,
            method=method,
        )


def _required(payment: object, name: str) -> object:
    value = at(payment, ["balances", name])
    if value is None:
        raise BadPayload(f"balances.{name} is missing")
    return value


def _rest_of(payment: object, held: Said) -> Iterator[Said]:
    """What is left of the authorization beside what was captured: still held, or let go."""
    left, authorized = balance(payment, "available_to_capture"), balance(payment, "total_authorized")
    if left is None or authorized is None or balance(payment, "total_captured") == authorized:
        return
    if left > 0:
        yield msgspec.structs.replace(held, amount=authorized, currency=text(payment, "currency"))
    else:
        yield msgspec.structs.replace(held, kind=Kind.PAYMENT_CANCELLED)


def _asked_at(payment: object) -> datetime | None:
    written = text_or_none(payment, "requested_on")
    return None if written is None else moment_from_rfc3339(written)


def _captures(payment: object) -> list[tuple[str, datetime | None]]:
    """The captures' actions, and when each was made, if that is told.

    Without them nobody could tell this money from that of the webhooks.
    """
    told = [it for it in _list(payment, "actions") if text_or_none(it, "type") == "Capture" and _is_approved(it)]
    if not told:
        raise BadPayload("the payment is captured, and no action of it is a capture")
    made = [(text(it, "id"), text_or_none(it, "processed_on")) for it in told]
    made_at = {ref: None if written is None else moment_from_rfc3339(written) for ref, written in made}
    return sorted(made_at.items(), key=itemgetter(0))


def _is_approved(action: object) -> bool:
    return (text_or_none(action, "response_code") or "").startswith(APPROVED_PREFIX)


def _why(payment: object) -> tuple[FailureClass, str | None]:
    actions = [] if at(payment, ["actions"]) is None else _list(payment, "actions")
    codes = [text_or_none(it, "response_code") for it in actions if not _is_approved(it)]
    return failure_of(codes[-1] if codes else None)


def refund_states(action: object, query: Query, told_at: datetime) -> Iterator[Said]:
    """Its outcome.  Actions seldom tell their currency: then the amount is what the webhook said."""
    if text(action, "type") != "Refund":
        raise BadPayload("the action is no refund")
    approved = at(action, ["approved"])
    if approved is not None and type(approved) is not bool:
        raise BadPayload("approved of the action is not true or false")
    currency = text_or_none(action, "currency")
    if currency is not None and not is_currency(currency.upper()):
        return
    kind = REFUNDS[approved is True, approved is False]
    why, code = failure_of(text_or_none(action, "response_code")) if approved is False else (None, None)
    processed_on = text_or_none(action, "processed_on")
    since = told_at if processed_on is None else moment_from_rfc3339(processed_on)
    yield Said(
        kind=kind,
        payment_ref=query.payment_ref,
        refund_ref=query.refund_ref,
        amount=None if currency is None else at(action, ["amount"]),
        currency=currency,
        since=since,
        failure=why,
        failure_code=code,
    )


# Approved, declined, or neither yet.
REFUNDS: Final = {
    (True, False): Kind.REFUND_SUCCEEDED,
    (False, True): Kind.REFUND_FAILED,
    (False, False): Kind.REFUND_PENDING,
}


def _list(content: object, name: str) -> list[object]:
    found = at(content, [name])
    if not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found
