"""Remembers the payments of orders that have very many, so that not each batch with such an order reads them all.

They are kept by the version of the order's row (its `xmin`), which whoever changes payments changes in the same
transaction (store/orders/writing.py), under the order's lock.  So what is remembered is found while it is true, and not
after that: a transaction that was rolled back left no such row.  All is forgotten when a connection is opened, for it
may lead to another server, which numbers its transactions anew (store/postgres/connections.py).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

import asyncpg

from tillkeeper.domain.order.facts import ObjectKey, PaymentFacts
from tillkeeper.store.postgres.pool import Conn

MANY: Final = 100  # payments of one order; to read fewer costs less than a tenth of a batch
REMEMBERED_MAX: Final = 100_000  # payments in all, some 60 MB

Payments: TypeAlias = Mapping[ObjectKey, PaymentFacts]
RowVersion: TypeAlias = tuple[int, int]  # xmin, which comes again after four billion others, and the order's version


class ManyPayments:
    """The payments of some orders, each as of a version of its row."""

    def __init__(self) -> None:
        self._orders: dict[int, tuple[RowVersion, Payments]] = {}

    def among(self, rows: Iterable[asyncpg.Record]) -> Mapping[int, Payments]:
        """Returns the payments of those of these orders that are known as of the row that is there."""
        if not self._orders:
            return {}
        found = {row["id"]: self.of(row["id"], (row["xmin"], row["version"])) for row in rows}
        return {order_id: payments for order_id, payments in found.items() if payments is not None}

    def of(self, order_id: int, row: RowVersion) -> Payments | None:
        """Returns the payments of an order, if they are known as of this version of its row."""
        remembered = self._orders.get(order_id)
        return remembered[1] if remembered is not None and remembered[0] == row else None

    def remember(self, order_id: int, row: RowVersion, payments: Payments) -> None:
        """Remembers the payments of an order instead of its earlier ones; the orders used longest ago make room."""
        self._orders.pop(order_id, None)
        self._orders[order_id] = row, payments
        while sum(len(known) for _, known in self._orders.values()) > REMEMBERED_MAX:
            del self._orders[next(iter(self._orders))]


def many_payments(conn: Conn) -> ManyPayments | None:
    """Returns what the connection's pool remembers; None behind a pooler, which may change servers unseen."""
    memory = getattr(conn, "memory", None)
    return None if memory is None else memory.setdefault(ManyPayments, ManyPayments())


ROW_VERSIONS = "SELECT id, xmin, version FROM orders WHERE id = ANY($1::bigint[])"


async def remember_written(conn: Conn, written: Collection[tuple[int, Payments]]) -> None:
    """Remembers payments of orders whose rows this transaction wrote, as of these rows."""
    many = {order_id: payments for order_id, payments in written if len(payments) >= MANY}
    known = many_payments(conn) if many else None
    if known is not None:
        for order_id, xmin, version in await conn.fetch(ROW_VERSIONS, list(many)):
            known.remember(order_id, (xmin, version), many[order_id])
