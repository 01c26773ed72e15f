"""Audits the money: books every event of every order anew, and compares the ledger with the facts and sums in store."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.books.ledger import Balances, Book, LedgerAccount, added, balances
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.store.books.ledger import ORDERS_AT_ONCE, by_name
from tillkeeper.store.deliveries.inbox import event_of
from tillkeeper.store.orders.loading import facts_of
from tillkeeper.store.rows import order_in

EXAMPLES_MAX: Final = 20  # enough to find the cause

ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, captured_minor, refunded_minor
FROM orders WHERE id > $1 ORDER BY id LIMIT $2
"""
EVENTS = "SELECT * FROM inbox WHERE order_id = ANY($1::bigint[]) ORDER BY order_id, recorded_at, seq"
WAITING = """
SELECT *, coalesce(payment_ref, refund_ref, dispute_ref) AS names FROM inbox WHERE outcome = 'waiting'
ORDER BY account, names, recorded_at, seq
"""


class MoneyFault(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the ledger on which an order's events and its facts do not agree."""

    order_ref: str
    account: LedgerAccount
    currency: str
    events_say: int
    facts_say: int


class MoneyAudit(msgspec.Struct, frozen=True, kw_only=True):
    """The balances of the ledger, and where they are not what the facts say.  Amounts are in minor units."""

    orders: int
    waiting: int  # events
    balances: tuple[tuple[LedgerAccount, str, int], ...]
    faults: tuple[MoneyFault, ...]  # the first of them
    faulty: int  # orders that are

    @property
    def sums(self) -> dict[str, int]:
        """Returns by currency what all accounts together come to, which is zero."""
        sums: dict[str, int] = {}
        for _, currency, minor in self.balances:
            sums[currency] = sums.get(currency, 0) + minor
        return sums

    @property
    def holds(self) -> bool:
        """Returns True if everything sums to zero, and events and facts agree."""
        return not self.faulty and not any(self.sums.values())


async def audit_money(pool: asyncpg.Pool) -> MoneyAudit:
    """Books every event of every order anew, and compares the ledger with the facts and sums that are stored."""
    total: Balances = {}
    orders, faulty, faults = 0, 0, list[MoneyFault]()
    async for page in _audited_pages(pool):
        for order, events_say, facts_say in page:
            orders += 1
            total = added(total, events_say)
            found = [*_faults(order.order_ref, events_say, facts_say)]
            faulty += bool(found)
            faults += found[: EXAMPLES_MAX - len(faults)]
    waits, waiting = await _waiting_balances(pool)
    total = added(total, waits)
    told = tuple((account, currency, minor) for (account, currency), minor in sorted(total.items()))
    return MoneyAudit(orders=orders, waiting=waiting, balances=told, faults=tuple(faults), faulty=faulty)


async def _audited_pages(pool: asyncpg.Pool) -> AsyncIterator[list[tuple[Order, Balances, Balances]]]:
    """Yields orders with their balances by their events, and by their facts and sums."""
    after = 0
    while True:
        async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            page = await conn.fetch(ORDERS, after, ORDERS_AT_ONCE)
            if not page:
                return
            facts = await facts_of(conn, [row["id"] for row in page])
            events = await conn.fetch(EVENTS, [row["id"] for row in page])
        after = page[-1]["id"]
        by_order = {order_id: [*rows] for order_id, rows in groupby(events, key=lambda row: row["order_id"])}
        yield [_audited(row, by_order.get(row["id"], []), facts[row["id"]]) for row in page]


def _audited(row: Any, events: Sequence[Any], facts: OrderFacts) -> tuple[Order, Balances, Balances]:
    order, known = order_in(row), OrderFacts()
    for event in events:
        known = apply(known, event_of(event))
    return order, balances(order, known), _with_stored_sums(order, row, balances(order, facts))


def _with_stored_sums(order: Order, row: Any, said: Balances) -> Balances:
    """Has the columns that lists and notices read speak for payers and refunds."""
    stored = {
        (LedgerAccount(Book.PAYERS), order.currency): -row["captured_minor"],
        (LedgerAccount(Book.REFUNDS), order.currency): row["refunded_minor"],
    }
    return {key: minor for key, minor in {**said, **stored}.items() if minor}


def _faults(order_ref: str, events_say: Balances, facts_say: Balances) -> Iterator[MoneyFault]:
    for key in sorted({**events_say, **facts_say}):
        said, known = events_say.get(key, 0), facts_say.get(key, 0)
        if said != known:
            account, currency = key
            yield MoneyFault(order_ref=order_ref, account=account, currency=currency, events_say=said, facts_say=known)


async def _waiting_balances(pool: asyncpg.Pool) -> tuple[Balances, int]:
    async with pool.acquire() as conn:
        rows = await conn.fetch(WAITING)
    total: Balances = {}
    for group in by_name(rows):
        facts = OrderFacts()
        for row in group:
            facts = apply(facts, event_of(row))
        total = added(total, balances(None, facts))
    return total, len(rows)
