"""Audits the chain: every link follows the one before, was signed, and holds the rows that are there."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.books.chain import START, ChainedTable, Link, RowFault, faults_in, hash_of
from tillkeeper.store.books.chain import ROWS, leaf_of, link_in
from tillkeeper.store.postgres.pool import Conn

LINKS_AT_ONCE: Final = 20  # each of some 50 KB, with its rows
EXAMPLES_MAX: Final = 20

LINKS = "SELECT * FROM chain_links WHERE number > $1 ORDER BY number LIMIT $2"

IsSigned = Callable[[bytes, bytes], bool]  # of a hash and its signature


class LinkFault(msgspec.Struct, frozen=True, kw_only=True):
    """A link that is not what a chain has there."""

    number: int
    what: str


class ChainAudit(msgspec.Struct, kw_only=True):
    """What an audit of the chain found.  `faults` are the first of them, in the order of the chain."""

    links: int = 0
    rows: int = 0
    erased_notes: int = 0
    unsigned: int = 0  # links without a signature
    faults: list[LinkFault | RowFault] = msgspec.field(default_factory=list)
    faulty: int = 0  # how many there are
    head: Link | None = None
    has_head: bool | None = None  # whether the head that was asked for is in it; None: none was

    @property
    def holds(self) -> bool:
        """Returns True if nothing was altered."""
        return not self.faulty and self.has_head is not False

    def add(self, fault: LinkFault | RowFault) -> None:
        """Counts a fault, and keeps it if it is among the first."""
        self.faulty += 1
        if len(self.faults) < EXAMPLES_MAX:
            self.faults.append(fault)


async def audit_chain(
    pool: asyncpg.Pool, *, is_signed: IsSigned | None, head: tuple[int, bytes] | None = None
) -> ChainAudit:
    """Reads the chain from its first link, and the rows of each.

    `is_signed` verifies signatures; None: there is no key to do so.  `head` is a number and the beginning of the hash
    that this link had.
    """
    found = ChainAudit(has_head=None if head is None else False)
    reached = dict.fromkeys(ChainedTable, 0)
    async for conn, link in _links(pool):
        for what in _link_faults(found.head, link, reached[link.subject], is_signed):
            found.add(LinkFault(number=link.number, what=what))
        if head is not None and link.number == head[0]:
            found.has_head = link.hash.startswith(head[1])
        await _compare_rows(conn, link, found)
        found.unsigned += link.signature is None
        found.links += 1
        found.head, reached[link.subject] = link, link.last_id
    return found


async def _links(pool: asyncpg.Pool) -> AsyncIterator[tuple[Conn, Link]]:
    after = 0
    while True:
        async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            rows = await conn.fetch(LINKS, after, LINKS_AT_ONCE)
            for row in rows:
                link = link_in(row)
                assert link is not None
                yield conn, link
        if len(rows) < LINKS_AT_ONCE:
            return
        after = rows[-1]["number"]


def _link_faults(before: Link | None, link: Link, reached: int, is_signed: IsSigned | None) -> list[str]:
    faults = []
    if link.number != (before.number + 1 if before else 1):
        faults.append("a link before it was removed")
    if link.previous != (before.hash if before else START):
        faults.append("it does not follow from the link before it")
    if link.first_id != reached + 1 or link.last_id < link.first_id:
        faults.append("it does not begin where the last link of its table ended")
    if hash_of(link) != link.hash:
        faults.append("its hash is not that of what it holds")
    if link.signature is not None and is_signed is not None and not is_signed(link.hash, link.signature):
        faults.append("its signature is not by the key")
    return faults


async def _compare_rows(conn: Conn, link: Link, found: ChainAudit) -> None:
    rows = await conn.fetch(ROWS[link.subject], link.first_id, link.last_id)
    unsalted = frozenset(row["id"] for row in rows if row["note"] is not None and row["salt"] is None)
    present = [leaf_of(link.subject, row, row["salt"]) for row in rows]
    found.rows += len(rows)
    found.erased_notes += len(unsalted)
    try:
        for fault in faults_in(link, present, unsalted):
            found.add(fault)
    except msgspec.MsgspecError:
        found.add(LinkFault(number=link.number, what="its leaves cannot be read"))


async def name_of_row(pool: asyncpg.Pool, fault: RowFault) -> dict[str, Any] | None:
    """Returns the row that a fault is about as it is now, for people; None where it is gone."""
    async with pool.acquire() as conn:
        row = await conn.fetchrow(ROWS[fault.subject], fault.id, fault.id)
        return None if row is None else {name: value for name, value in row.items() if name not in ("id", "salt")}
