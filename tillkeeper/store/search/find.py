"""Answers a search: looks up each of its probes, in one snapshot that is held for a few seconds at most."""

from typing import assert_never

import asyncpg
import msgspec

from tillkeeper.domain.search.hits import HitKind, HitReason, SearchResult, grouped
from tillkeeper.domain.search.probes import (
    EmailProbe,
    MoneyProbe,
    NumberProbe,
    PhoneProbe,
    ReferenceProbe,
    Search,
)
from tillkeeper.domain.search.spelling import Spelling, spelling_of, spellings_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.search.others import by_email, by_money, by_number, by_phone, in_refused
from tillkeeper.store.search.references import Looked, by_reference

# Each look-up reads an index; one that does not come back is in a database that lacks the index, or is overloaded.
LIMIT_TIME = "SET LOCAL statement_timeout = '4s'"
# How many rows end so, PostgreSQL only guesses: it must not think that they are many, and read tables whole.
BY_INDEX = "SET LOCAL enable_seqscan = off"


async def find(pool: asyncpg.Pool, search: Search) -> SearchResult:
    """Returns what was found, grouped and ranked.  Nothing is locked."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        return await find_in(conn, search)


async def find_in(conn: Conn, search: Search) -> SearchResult:
    """As `find`, in the caller's snapshot."""
    await conn.execute(LIMIT_TIME)
    await conn.execute(BY_INDEX)
    looked, references = Looked(), list[ReferenceProbe]()
    for probe in search.probes:
        if isinstance(probe, ReferenceProbe):
            references.append(probe)
        else:
            await _look(conn, probe, looked)
    by_others = len(looked.hits)
    await by_reference(conn, references, looked)
    await in_refused(conn, [probe.written for probe in references], looked)
    if len(looked.hits) == by_others:
        for spelling in spellings_of(search.spelt, [probe.written for probe in references]):
            await _by_spelling(conn, spelling, looked)
    elif (whole := spelling_of(search.spelt)) is not None and whole.has_letters and not _names_an_order(looked):
        await _by_spelling(conn, whole, looked)
    return grouped(looked.hits, overflowing=frozenset(looked.overflowing), cut=search.cut)


def _names_an_order(looked: Looked) -> bool:
    return any(hit.kind is HitKind.ORDER and hit.why is HitReason.WHOLE for hit in looked.hits)


async def _by_spelling(conn: Conn, spelling: Spelling, looked: Looked) -> None:
    ending_so = Looked()
    await by_reference(conn, spelling.probes, ending_so)
    for hit in ending_so.hits:
        if any(map(spelling.is_of, (hit.ref, hit.order_ref, hit.payment_ref))):
            looked.hits.append(msgspec.structs.replace(hit, why=HitReason.SPELT))


async def _look(conn: Conn, probe: EmailProbe | PhoneProbe | MoneyProbe | NumberProbe, looked: Looked) -> None:
    match probe:
        case EmailProbe():
            await by_email(conn, probe, looked)
        case PhoneProbe():
            await by_phone(conn, probe, looked)
        case MoneyProbe():
            await by_money(conn, probe, looked)
        case NumberProbe():
            await by_number(conn, probe, looked)
        case _:
            assert_never(probe)
