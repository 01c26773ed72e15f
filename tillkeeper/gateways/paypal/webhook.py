"""Reads PayPal's deliveries: what each type of event says, and what must be confirmed by a query.

Sources: PayPal's page "Webhook event names"; paypal/PayPal-node-SDK, `test/mocks/notification.js`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import ClaimedReferences, Query
from tillkeeper.gateways.paypal import api, objects
from tillkeeper.gateways.paypal.objects import AUTHORIZATION, DISPUTE, ORDER_PART, SALE, SUCCESSES

AHEAD_MAX: Final = timedelta(days=1)  # what lies further in the future did not happen

Reader = Callable[[object], tuple[Fact, ...]]  # none where a word that decides is unknown


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery: the event, its type, and what its resource says.  The first fact is the resource's own."""

    content: object
    event_type: str
    facts: tuple[Fact, ...]

    @property
    def resource(self) -> object:
        """Returns the object that the event is about."""
        return at(self.content, ["resource"])

    @property
    def must_be_confirmed(self) -> bool:
        """Returns True if somebody would get goods, or hide that money is still due, by forging it."""
        return self.event_type in CONFIRMED or self.facts[0].kind is Kind.DISPUTE_WON


def notice_in(body: bytes) -> Notice | None:
    """Returns the notice in a delivery; None for a type that is of no interest, or that says nothing.  Raises
    BadPayload."""
    content = strictjson.loads(body)
    event_type = text(content, "event_type")
    read = TYPES.get(event_type)
    if read is None:
        if event_type.startswith(FAMILIES):
            unknown_word("event_type", event_type)
        return None
    try:
        facts = read(at(content, ["resource"]))
    except units.UnknownCurrency:
        return None
    return Notice(content=content, event_type=event_type, facts=facts) if facts else None


def events_of(notice: Notice, account: str, received_at: datetime, *, confirms: bool) -> tuple[PaymentEvent, ...]:
    """Returns the events of a notice; `confirms` leaves out successes that an answer must tell.  Raises BadPayload."""
    reported_at = notice.facts[0].occurred_at or moment_from_rfc3339(text(notice.content, "create_time"))
    if reported_at > received_at + AHEAD_MAX:
        raise BadPayload("the time at which it happened is still to come")
    event_id = text(notice.content, "id")
    return tuple(
        webhook_event(fact, account=account, event_id=event_id, reported_at=reported_at)
        for fact in notice.facts
        if not (confirms and fact.part in SUCCESSES)
    )


def queries_for(notice: Notice, *, confirms: bool) -> tuple[Query, ...]:
    """Returns what PayPal is asked about: what must be confirmed, and a refund that names no payment.  Raises
    BadPayload."""
    fact = notice.facts[0]
    names_no_payment = fact.refund_ref is not None and fact.payment_ref is None
    if not names_no_payment and not (confirms and notice.must_be_confirmed):
        return ()
    if fact.dispute_ref is not None:
        return (_checked(Query(about="payment", payment_ref=f"{DISPUTE}{fact.dispute_ref}")),)
    query = _checked(_query_about(fact))
    order = next((other.payment_ref for other in notice.facts if other.part == ORDER_PART), None)
    if order is None or fact.order_ref is not None:
        return (query,)
    # Nothing in it names an order of ours, but PayPal's order may be registered with one.
    return (query, _checked(Query(about="payment", payment_ref=order)))


def _query_about(fact: Fact) -> Query:
    payment_ref, refund_ref = reference_or_none(fact.payment_ref), reference_or_none(fact.refund_ref)
    if (payment_ref, refund_ref) != (fact.payment_ref, fact.refund_ref):
        raise BadPayload("id of the payment or refund has characters that we do not ask with")
    return Query(about="payment" if refund_ref is None else "refund", payment_ref=payment_ref, refund_ref=refund_ref)


def _checked(query: Query) -> Query:
    """Returns the query, if it can be put.  Raises BadPayload."""
    try:
        api.path_of(query)
    except CannotQuery as error:
        raise BadPayload(str(error)) from None
    return query


def claimed_references(body: bytes) -> ClaimedReferences | None:
    """Returns the payment and the order that an unverified delivery names, if it names any."""
    try:
        content = strictjson.loads_unsigned(body)
        read = TYPES.get(text(content, "event_type"))
        facts = () if read is None else read(at(content, ["resource"]))
    except BadPayload:
        return None
    if not facts:
        return None
    order_ref, payment_ref = reference_or_none(facts[0].order_ref), reference_or_none(facts[0].payment_ref)
    return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)


def _payment(kind: Kind, prefix: str = "", failure: FailureClass | None = None, *, undoes: bool = False) -> Reader:
    """Reads a capture, an authorization or a sale as that."""

    def read(resource: object) -> tuple[Fact, ...]:
        fact = objects.payment_fact(resource, kind, prefix, failure)
        return tuple(objects.with_attempt(fact, resource, undoes=undoes))

    return read


def _single(read: Callable[[object], Fact | None]) -> Reader:
    """Reads an object that says one thing."""

    def read_single(resource: object) -> tuple[Fact, ...]:
        fact = read(resource)
        return () if fact is None else (fact,)

    return read_single


# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Reader]] = {
    "CHECKOUT.ORDER.APPROVED": _single(objects.approved_order),
    "CHECKOUT.ORDER.COMPLETED": _single(objects.completed_order),
    "CHECKOUT.ORDER.VOIDED": _single(objects.voided_order),
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": _single(objects.reversed_approval),
    "PAYMENT.AUTHORIZATION.CREATED": _payment(Kind.PAYMENT_AUTHORIZED, AUTHORIZATION),
    "PAYMENT.AUTHORIZATION.DENIED": _payment(Kind.PAYMENT_FAILED, AUTHORIZATION),
    "PAYMENT.AUTHORIZATION.VOIDED": _payment(Kind.PAYMENT_CANCELLED, AUTHORIZATION, FailureClass.USER_CANCELLED),
    "PAYMENT.AUTHORIZATION.EXPIRED": _payment(Kind.PAYMENT_CANCELLED, AUTHORIZATION, FailureClass.EXPIRED_UNPAID),
    "PAYMENT.CAPTURE.PENDING": _payment(Kind.PAYMENT_PENDING),
    "PAYMENT.CAPTURE.COMPLETED": _payment(Kind.PAYMENT_SUCCEEDED),
    "PAYMENT.CAPTURE.DENIED": _payment(Kind.PAYMENT_FAILED, undoes=True),
    "PAYMENT.CAPTURE.DECLINED": _payment(Kind.PAYMENT_FAILED),
    "PAYMENT.CAPTURE.REFUNDED": _single(objects.refund_fact),
    "PAYMENT.CAPTURE.REVERSED": _single(objects.capture_reversal),
    "PAYMENT.REFUND.PENDING": _single(objects.refund_fact),
    "PAYMENT.REFUND.FAILED": _single(objects.refund_fact),
    "PAYMENT.SALE.PENDING": _payment(Kind.PAYMENT_PENDING, SALE),
    "PAYMENT.SALE.COMPLETED": _payment(Kind.PAYMENT_SUCCEEDED, SALE),
    "PAYMENT.SALE.DENIED": _payment(Kind.PAYMENT_FAILED, SALE, undoes=True),
    "PAYMENT.SALE.REFUNDED": _single(objects.sale_refund_fact),
    "PAYMENT.SALE.REVERSED": _single(objects.sale_reversal),
    "CUSTOMER.DISPUTE.CREATED": _single(objects.dispute_fact),
    "CUSTOMER.DISPUTE.UPDATED": _single(objects.dispute_fact),
    "CUSTOMER.DISPUTE.RESOLVED": _single(objects.dispute_fact),
}
# Of these families every type is known, or its name is noted; others are of no order's money.
FAMILIES: Final = (
    "CHECKOUT.ORDER.",
    "CHECKOUT.PAYMENT-APPROVAL.",
    "CUSTOMER.DISPUTE.",
    "PAYMENT.AUTHORIZATION.",
    "PAYMENT.CAPTURE.",
    "PAYMENT.REFUND.",
    "PAYMENT.SALE.",
)
# Those by whose forging somebody would get goods, or hide that money is still due.
CONFIRMED: Final = frozenset(
    {
        "CHECKOUT.ORDER.COMPLETED",
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.REFUND.FAILED",
        "PAYMENT.SALE.COMPLETED",
        "PAYMENT.SALE.REFUNDED",
    }
)
