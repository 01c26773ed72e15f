"""Derives double-entry postings from the facts of orders: what came in where, and whose it is.

    facts ──> balances (each movement takes from one account what it gives to another) ──> sum zero for each currency
    the balances after an event, less those before ──> the postings of that event

So the ledger is no second set of books: the postings of all events add up to the balances of the facts, whatever the
order in which the events came.  A positive posting is a debit.

    clearing     what a gateway has of the merchant's            debit: captured      credit: given back, charged back
    payers       what payers paid for their orders               credit: captured
    extra        what payers gave on top, such as tips           credit: paid on top  debit: given back
    refunds      what went back to payers                        debit: given back
    chargebacks  what payers' banks took back                    debit: a dispute was lost
    mismatched   of an order that expects another account or     credit: captured     debit: given back, charged back
                 currency: nobody's, until somebody decided
    waiting      likewise, of no order that is known             credit: captured     debit: given back, charged back
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from functools import reduce
from operator import itemgetter
from typing import NamedTuple

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.sums import (
    captured_of,
    charged_back,
    given_back_on_top,
    on_top_of,
    refunded_in_all,
)


class Book(StrEnum):
    """The accounts of the ledger; clearing is kept for each account at a gateway."""

    CLEARING = "clearing"
    PAYERS = "payers"
    EXTRA = "extra"
    REFUNDS = "refunds"
    CHARGEBACKS = "chargebacks"
    MISMATCHED = "mismatched"
    WAITING = "waiting"


class LedgerAccount(NamedTuple):
    """An account of the ledger.  `at` is the account at a gateway, and empty where there is one for all."""

    book: Book
    at: str = ""


class Posting(msgspec.Struct, frozen=True, gc=False):
    """What one account of the ledger got (a debit) or gave (a credit, negative), in minor units."""

    account: LedgerAccount
    currency: str
    minor: int


class BookedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event, when it was recorded, and since when it had waited for its order, if it had."""

    event: PaymentEvent
    recorded_at: datetime
    waited_since: datetime | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """The postings of one event, which sum to zero for each currency.

    `booked_at` is when the event was recorded, so that a month that was closed stays as it is.  One that waited is
    booked twice: as money that waits, and then as the order's.
    """

    booked_at: datetime
    order_ref: str | None  # of the order at which the event counts; None while it waits
    event: PaymentEvent
    postings: tuple[Posting, ...]


Balances = dict[tuple[LedgerAccount, str], int]  # by account and currency, in minor units; none is zero


class _Movement(NamedTuple):
    """Takes `minor` from one account of the ledger and gives as much to another."""

    debit: LedgerAccount
    credit: LedgerAccount
    currency: str
    minor: int


def balances(order: Order | None, facts: OrderFacts) -> Balances:
    """Returns the balances that these facts come to; `order` is None where no order is known for them."""
    sums: Balances = {}
    for debit, credit, currency, minor in _movements(order, facts):
        sums[debit, currency] = sums.get((debit, currency), 0) + minor
        sums[credit, currency] = sums.get((credit, currency), 0) - minor
    return {key: minor for key, minor in sums.items() if minor}


def added(left: Balances, right: Balances) -> Balances:
    """Returns the sum of two balances."""
    sums = {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
    return {key: minor for key, minor in sums.items() if minor}


def postings_between(before: Balances, after: Balances) -> tuple[Posting, ...]:
    """Returns what leads from one to the other, debits first."""
    moved = {key: after.get(key, 0) - before.get(key, 0) for key in {**before, **after}}
    found = [Posting(account, currency, minor) for (account, currency), minor in moved.items() if minor]
    return tuple(sorted(found, key=lambda each: (each.currency, -each.minor, each.account)))


def transactions(order: Order | None, events: Iterable[BookedEvent]) -> Iterator[Transaction]:
    """Yields the transactions of an order's events, or of events whose order is not known, in the order of time.

    An event that moves no money has none.
    """
    facts, waiting, before = OrderFacts(), list[PaymentEvent](), Balances()
    for at, counts, event in _moments(order, events):
        if counts:
            waiting = [each for each in waiting if each is not event]
            facts = apply(facts, event)
        else:
            waiting.append(event)
        after = added(balances(order, facts), balances(None, reduce(apply, waiting, OrderFacts())))
        if postings := postings_between(before, after):
            of = order.order_ref if order and counts else None
            yield Transaction(booked_at=at, order_ref=of, event=event, postings=postings)
        before = after


def _moments(order: Order | None, events: Iterable[BookedEvent]) -> list[tuple[datetime, bool, PaymentEvent]]:
    """Returns when each event began to wait, and when to count."""
    moments = []
    for booked in events:
        if booked.waited_since is not None:
            moments.append((booked.waited_since, False, booked.event))
        moments.append((booked.recorded_at, order is not None, booked.event))
    return sorted(moments, key=itemgetter(0))


def _movements(order: Order | None, facts: OrderFacts) -> Iterator[_Movement]:
    """Yields what moved: as the order expects it, and all else to a suspense account."""
    if order is not None and _is_plain(order, facts):
        yield from _of_currency(order, facts, None)
        return
    for at, currency in sorted(_pots(facts)):
        expected = order is not None and at in order.accounts and currency == order.currency
        suspense = None if expected else LedgerAccount(Book.WAITING if order is None else Book.MISMATCHED)
        pot = Order(order_ref="", amount=0, currency=currency, accounts=frozenset({at}))
        yield from _of_currency(pot, facts, suspense)


def _is_plain(order: Order, facts: OrderFacts) -> bool:
    """Returns True if all money is at the order's only account, and in its currency, as nearly always."""
    return len(order.accounts) == 1 and _pots(facts) <= {(next(iter(order.accounts)), order.currency)}


def _pots(facts: OrderFacts) -> set[tuple[str, str]]:
    """Returns by account and currency where money moved."""
    pots: set[tuple[str, str]] = set()
    for (at, _), payment in facts.payments.items():
        pots |= {(at, capture.currency) for capture in payment.captures.values()}
        pots |= {(at, told.currency) for told in (payment.given_back, payment.on_top) if told is not None}
    for returned in (facts.refunds, facts.disputes):
        pots |= {(at, each.amount.currency) for (at, _), each in returned.items() if each.amount is not None}
    return pots


def _of_currency(pot: Order, facts: OrderFacts, suspense: LedgerAccount | None) -> Iterator[_Movement]:
    """Yields what moved at one account in one currency; to and from `suspense`, where there is one."""
    (at,) = pot.accounts
    clearing, payers = LedgerAccount(Book.CLEARING, at), suspense or LedgerAccount(Book.PAYERS)
    extra, refunds = suspense or LedgerAccount(Book.EXTRA), suspense or LedgerAccount(Book.REFUNDS)
    payments = {key: payment for key, payment in facts.payments.items() if key[0] == at}
    for debit, credit, minor in (
        (clearing, payers, sum(captured_of(pot, at, payment) for payment in payments.values())),
        (clearing, extra, sum(on_top_of(pot, at, payment) for payment in payments.values())),
        (refunds, clearing, refunded_in_all(pot, facts)),
        (extra, clearing, sum(given_back_on_top(pot, facts, key) for key in payments)),
        (suspense or LedgerAccount(Book.CHARGEBACKS), clearing, charged_back(pot, facts)),
    ):
        if minor:
            yield _Movement(debit, credit, pot.currency, minor)
