"""Defines facts: what an object of a gateway says of a payment, a refund or a dispute, before it becomes an event.

Readers of objects make facts, without account and event id.  A fact becomes an event in one of two ways: with the id of
its delivery, or, in the answer to a query, with an id made from its content.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.answers import queried
from tillkeeper.gateways.kit.units import ISO, from_minor


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, with the fields of the event that it becomes.

    `occurred_at` is None where the object does not tell it: then the delivery or the response does.  `part` tells
    several facts of one delivery apart, and ends the ids of their events; the main fact has none.
    """

    kind: Kind
    payment_ref: str | None
    order_ref: str | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    amount: int | None = None
    total: int | None = None
    currency: str | None = None
    discount: int | None = None
    on_top: int | None = None
    released: int | None = None
    may_be_release: bool = False
    occurred_at: datetime | None = None
    as_of: datetime | None = None
    failure: FailureClass | None = None
    failure_code: str | None = None
    method: str | None = None
    has_refunds: bool = False
    part: str = ""


def in_minor_units(fact: Fact, currency: str, digits: Mapping[str, int] = ISO, **completed: object) -> Fact:
    """Returns the fact with its amounts in minor units of ISO 4217; `digits` is one of the tables in units.py.

    `completed` are other fields that are known only now: what is replaced at once is copied once.

    Raises BadPayload for an amount that is no whole number of them.
    """
    completed["currency"] = currency
    if fact.amount is not None:
        completed["amount"] = from_minor(fact.amount, currency, digits)
    if fact.total is not None:
        completed["total"] = from_minor(fact.total, currency, digits)
    if fact.discount is not None:
        completed["discount"] = from_minor(fact.discount, currency, digits)
    if fact.on_top is not None:
        completed["on_top"] = from_minor(fact.on_top, currency, digits)
    if fact.released is not None:
        completed["released"] = from_minor(fact.released, currency, digits)
    return msgspec.structs.replace(fact, **completed)


def webhook_event(fact: Fact, *, account: str, event_id: str, reported_at: datetime) -> PaymentEvent:
    """Makes the event of a delivery that has that id and time.  Raises BadPayload where the fact means nothing."""
    event = _event(fact, account, f"{event_id}:{fact.part}" if fact.part else event_id, reported_at)
    if problem := problem_with(event):
        raise BadPayload(problem)
    return event


def query_event(fact: Fact, *, account: str, reported_at: datetime) -> PaymentEvent:
    """Makes the event of a response that was given then.  Raises BadPayload where the fact means nothing."""
    return queried(_event(fact, account, "", reported_at))


def _event(fact: Fact, account: str, event_id: str, reported_at: datetime) -> PaymentEvent:
    event = PaymentEvent(
        event_id=event_id,
        kind=fact.kind,
        account=account,
        occurred_at=fact.occurred_at or reported_at,
        order_ref=fact.order_ref,
        payment_ref=fact.payment_ref,
        amount=fact.amount,
        currency=fact.currency,
        method=fact.method,
    )
    return event if _has_common_fields_alone(fact) else _with_rare_fields(event, fact)


def _has_common_fields_alone(fact: Fact) -> bool:
    """Returns True for most payments.  To make an event of half the fields takes a third of the time."""
    return (
        fact.capture_ref is fact.refund_ref is fact.dispute_ref is None
        and fact.total is fact.discount is fact.on_top is fact.released is None
        and fact.failure is fact.failure_code is None
        and fact.as_of is None
        and not (fact.may_be_release or fact.has_refunds)
    )


def _with_rare_fields(event: PaymentEvent, fact: Fact) -> PaymentEvent:
    return msgspec.structs.replace(
        event,
        capture_ref=fact.capture_ref,
        refund_ref=fact.refund_ref,
        dispute_ref=fact.dispute_ref,
        total=fact.total,
        failure=fact.failure,
        failure_code=fact.failure_code,
        as_of=fact.as_of,
        discount=fact.discount,
        on_top=fact.on_top,
        released=fact.released,
        may_be_release=fact.may_be_release,
        has_refunds=fact.has_refunds,
    )
