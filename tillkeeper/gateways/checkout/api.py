"""Builds queries to Checkout.com's API and reads its objects' states.  TLS vouches; nothing is signed.

Sources: Checkout.com's API reference, "Get payment details", "Get payment list", "Get payment actions".

Webhooks report captures one by one and answers report their sum, so where there are several the sum becomes the state
of all of them: the first holds it and the others nothing.  That replaces them only if it is later than each, and a
capture may be as young as the answer, by another machine's clock.  So it holds as of some minutes after the answer,
more of them the more captures it knows, for then a later answer is later also within a second.  What is captured after
the answer is not among them, and counts by itself.  A capture happened when its action says, or else when the payment
was requested: what undid it since must be the later.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.checkout.objects import APPROVED_PREFIX, failure_of, in_iso_units, uncaptured
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, status_error
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
    """Returns path and query of what answers the query.  Raises CannotQuery."""
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
    """Returns what the response holds, or None where Checkout.com knows of no such thing, which it says without a
    body."""
    if response.status == OK:
        content = strictjson.loads(response.body)
        if content is None:
            raise BadPayload("the answer is null")
        return content
    if response.status == NOT_FOUND and not response.body.strip():
        return None
    raise status_error(response)


def objects_in(query: Query, content: object) -> Iterator[object]:
    """Yields the objects of an answer that are what was asked about."""
    if query.about == "refund":
        actions = content if isinstance(content, list) else _list(content, "items")
        if not actions:
            raise BadPayload("a payment that gave something back has actions")
        yield from (action for action in actions if text(action, "id") == query.refund_ref)
    elif query.payment_ref is None:
        payments = _list(content, "data")
        yield from (payment for payment in payments if text_or_none(payment, "reference") == query.order_ref)
    elif text(content, "id") != query.payment_ref:
        raise BadPayload("the answer is about another object than the query")
    else:
        yield content


def facts_of(query: Query, subject: object, reported_at: datetime) -> Iterator[Fact]:
    """Yields what an object of the answer says, in ISO 4217's minor units; nothing where nobody can count its
    currency."""
    facts = _refund_facts(query, subject) if query.about == "refund" else _payment_facts(subject, reported_at)
    for fact in filter(None, map(in_iso_units, facts)):
        yield msgspec.structs.replace(fact, order_ref=fact.order_ref or query.order_ref)


def _payment_facts(payment: object, reported_at: datetime) -> Iterator[Fact]:
    """Yields the payment's state: what was captured, by which actions, and what it gave back so far."""
    status = text(payment, "status")
    if status in TAKEN:
        yield from _taken(payment, reported_at)
    elif status not in STATUSES:
        unknown_word("status of a payment", status)
    elif (state := STATUSES[status]) is not None:
        kind, failure = state
        why, code = _failure_of_payment(payment) if kind is Kind.PAYMENT_FAILED else (failure, None)
        amount = None if at(payment, ["amount"]) is None else integer(payment, "amount")
        yield msgspec.structs.replace(_payment_fact(payment, kind), amount=amount, failure=why, failure_code=code)


def _payment_fact(payment: object, kind: Kind) -> Fact:
    """Returns the payment as that, without an amount."""
    return Fact(
        kind=kind,
        payment_ref=text(payment, "id"),
        order_ref=text_or_none(payment, "reference"),
        currency=text(payment, "currency"),
        method=text_or_none(payment, "source", "type"),
    )


def _taken(payment: object, reported_at: datetime) -> Iterator[Fact]:
    """Yields what came in, what is left of the authorization, and what went back."""
    yield from _captured(payment, reported_at)
    rest = uncaptured(payment)
    base = msgspec.structs.replace(_payment_fact(payment, Kind.REFUND_SUCCEEDED), method=None)
    if rest is not None:
        kind, amount = rest
        yield msgspec.structs.replace(base, kind=kind, amount=amount)
    if total := integer(payment, "balances", "total_refunded"):
        yield msgspec.structs.replace(base, total=total)


def _captured(payment: object, reported_at: datetime) -> Iterator[Fact]:
    """Yields each capture, of which the first holds the sum of all."""
    captures = _captures(payment)
    as_of = reported_at + len(captures) * LATER_BY if len(captures) > 1 else reported_at
    captured = _payment_fact(payment, Kind.PAYMENT_SUCCEEDED)
    amounts = (integer(payment, "balances", "total_captured"), *(0 for _ in captures[1:]))
    for (capture_ref, captured_at), amount in zip(captures, amounts, strict=True):
        yield msgspec.structs.replace(
            captured,
            capture_ref=capture_ref,
            amount=amount,
            occurred_at=captured_at or _requested_at(payment),
            as_of=as_of,
        )


def _requested_at(payment: object) -> datetime | None:
    written = text_or_none(payment, "requested_on")
    return None if written is None else moment_from_rfc3339(written)


def _captures(payment: object) -> Sequence[tuple[str, datetime | None]]:
    """Returns the captures' actions, and when each was made, if the answer has that.

    Without them nobody could tell this money from that of the webhooks.
    """
    captures = [
        (text(action, "id"), text_or_none(action, "processed_on"))
        for action in _list(payment, "actions")
        if text_or_none(action, "type") == "Capture" and _is_approved(action)
    ]
    if not captures:
        raise BadPayload("the payment is captured, and no action of it is a capture")
    made_at = {ref: None if written is None else moment_from_rfc3339(written) for ref, written in captures}
    return sorted(made_at.items(), key=itemgetter(0))


def _is_approved(action: object) -> bool:
    return (text_or_none(action, "response_code") or "").startswith(APPROVED_PREFIX)


def _failure_of_payment(payment: object) -> tuple[FailureClass, str | None]:
    actions = [] if at(payment, ["actions"]) is None else _list(payment, "actions")
    codes = [text_or_none(action, "response_code") for action in actions if not _is_approved(action)]
    return failure_of(codes[-1] if codes else None)


def _refund_facts(query: Query, action: object) -> Iterator[Fact]:
    """Yields the refund's outcome.  Actions seldom tell their currency: then the amount is what the webhook said."""
    if text(action, "type") != "Refund":
        raise BadPayload("the action is no refund")
    approved = at(action, ["approved"])
    if approved is not None and type(approved) is not bool:
        raise BadPayload("approved of the action is not true or false")
    failure, code = failure_of(text_or_none(action, "response_code")) if approved is False else (None, None)
    currency, processed_on = text_or_none(action, "currency"), text_or_none(action, "processed_on")
    has_amount = currency is not None and at(action, ["amount"]) is not None
    yield Fact(
        kind=REFUNDS[approved],
        payment_ref=query.payment_ref,
        refund_ref=query.refund_ref,
        amount=integer(action, "amount") if has_amount else None,
        currency=currency,
        occurred_at=None if processed_on is None else moment_from_rfc3339(processed_on),
        failure=failure,
        failure_code=code,
    )


# By whether the refund was approved; None is neither yet.
REFUNDS: Final[Mapping[bool | None, Kind]] = {
    True: Kind.REFUND_SUCCEEDED,
    False: Kind.REFUND_FAILED,
    None: Kind.REFUND_PENDING,
}


def _list(content: object, name: str) -> list[object]:
    found = at(content, [name])
    if not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found
