"""Lists what can happen to an order, as a table: the gateway's events in order, and how the order must end.

The ends are written by hand from the design's table of statuses and never computed, so that they can prove it wrong.
Amounts are tenths of the order's amount.  A function for each end makes its templates: name, weight, and the events.
"""

from typing import Final

import msgspec

from tillkeeper.domain.statuses import Status

ALL: Final = 10  # tenths

LATER_S: Final = (1, 4, 30, 90)  # seconds since the word before
AT_ONCE_S: Final = (0, 0, 1, 30)  # also within one second, where rank decides


class Event(msgspec.Struct, frozen=True):
    """One word of a gateway's."""

    event_type: str
    tenths: int = ALL
    part: str = ""  # which refund of the payment, where one word alone does not tell
    after_s: tuple[int, ...] = LATER_S


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of story.  `weight` is how often it is told among those of its gateway."""

    name: str
    weight: int
    events: tuple[Event, ...] = ()
    status: Status
    paid: int = 0
    refunded: int = 0
    in_other_currency: bool = False  # the order is due in another currency than it is paid in
    at_other_account: bool = False  # the order is expected at another account than it is paid at


def unpaid(name: str, weight: int, *events: Event) -> Template:
    """The gateway knows of no attempt to pay."""
    return Template(name=name, weight=weight, events=events, status=Status.UNPAID)


def processing(name: str, weight: int, *events: Event) -> Template:
    """A payment is on its way."""
    return Template(name=name, weight=weight, events=events, status=Status.PROCESSING)


def failed(name: str, weight: int, *events: Event) -> Template:
    """No payment came to anything."""
    return Template(name=name, weight=weight, events=events, status=Status.FAILED)


def paid(name: str, weight: int, *events: Event) -> Template:
    """The whole amount was captured, and nothing was given back."""
    return Template(name=name, weight=weight, events=events, status=Status.PAID, paid=ALL)


def partially_paid(name: str, weight: int, tenths: int, *events: Event) -> Template:
    """So many tenths of the amount were captured."""
    return Template(name=name, weight=weight, events=events, status=Status.PARTIALLY_PAID, paid=tenths)


def refunding(name: str, weight: int, *events: Event) -> Template:
    """The whole amount was captured, and a refund is on its way."""
    return Template(name=name, weight=weight, events=events, status=Status.REFUNDING, paid=ALL)


def partially_refunded(name: str, weight: int, tenths: int, *events: Event) -> Template:
    """The whole amount was captured, and so many tenths of it were given back."""
    return Template(
        name=name, weight=weight, events=events, status=Status.PARTIALLY_REFUNDED, paid=ALL, refunded=tenths
    )


def refunded(name: str, weight: int, *events: Event) -> Template:
    """The whole amount was captured and given back."""
    return Template(name=name, weight=weight, events=events, status=Status.REFUNDED, paid=ALL, refunded=ALL)


def in_other_currency(*events: Event) -> Template:
    """The order was paid in a currency in which it is not due, which counts for nothing."""
    return Template(
        name="paid in another currency", weight=2, events=events, status=Status.UNPAID, in_other_currency=True
    )


def at_other_account(*events: Event) -> Template:
    """The order was paid where no payment is expected, which counts for nothing."""
    return Template(
        name="paid where nobody expects it", weight=2, events=events, status=Status.UNPAID, at_other_account=True
    )


# --- stories that many gateways tell with words of their own ----------------------------------------------------------


def paid_too_little(captured: str) -> Template:
    """Eight tenths of the amount come in."""
    return partially_paid("paid too little", 2, 8, Event(captured, 8))


def a_part_given_back(captured: str, begins: str, *then: str) -> Template:
    """A refund of four tenths begins and succeeds, by so many words."""
    refund = (Event(word, 4, "1", after_s=AT_ONCE_S) for word in then)
    return partially_refunded("a part given back", 6, 4, Event(captured), Event(begins, 4, "1"), *refund)


def given_back_in_two_parts(captured: str, refund_succeeded: str) -> Template:
    """Two refunds, a word each, give everything back."""
    parts = Event(refund_succeeded, 3, "1"), Event(refund_succeeded, 7, "2")
    return refunded("given back in two parts", 4, Event(captured), *parts)


def being_given_back(captured: str, refund_pending: str) -> Template:
    """A refund of the half is on its way."""
    return refunding("being given back", 3, Event(captured), Event(refund_pending, 5, "1"))


def a_refund_that_fails(captured: str, refund_pending: str, refund_failed: str) -> Template:
    """A refund of everything begins and fails, so that the money stays."""
    refund = Event(refund_pending, ALL, "1"), Event(refund_failed, ALL, "1", after_s=AT_ONCE_S)
    return paid("a refund that fails", 3, Event(captured), *refund)
