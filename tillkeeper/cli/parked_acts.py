"""Replays or discards parked events, each in a transaction of its own, so that one that fails holds up no other."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper import clock
from tillkeeper.cli.database import one_line
from tillkeeper.domain.delivery import EnvelopeKeys, NotAuthentic
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply import batch as apply
from tillkeeper.store.deliveries import parked
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import is_outage
from tillkeeper.store.postgres.transactions import repeat_on_conflict

PAGE_ROWS: Final = 500


class ParkedAct(msgspec.Struct, frozen=True, kw_only=True):
    """Who closes the events, and why."""

    by: str
    note: str


async def replay(
    pool: asyncpg.Pool, ids: Sequence[int] | None, act: ParkedAct, policy: Policy, keys: EnvelopeKeys
) -> list[dict[str, Any]]:
    """Applies each again, or, without numbers, every open one; returns the result of each.

    Whole messages that were not authentic are applied where `keys` open them now.
    """
    told = list[dict[str, Any]]()
    async for parked_id in _these(ids) if ids else _open(pool, told):
        told.append(await _replay_one(pool, parked_id, act, policy, keys))
    return told


async def discard(pool: asyncpg.Pool, ids: Sequence[int], act: ParkedAct) -> list[dict[str, Any]]:
    """Closes each without applying it; returns the result of each."""
    return [await _discard_one(pool, parked_id, act) async for parked_id in _these(ids)]


async def _these(ids: Sequence[int]) -> AsyncIterator[int]:
    for parked_id in dict.fromkeys(ids):
        yield parked_id


async def _open(pool: asyncpg.Pool, told: list[dict[str, Any]]) -> AsyncIterator[int]:
    """Yields every open one, a page at a time; one that was tried and is still open does not come again."""
    while True:
        tried = {replay["id"] for replay in told}
        stuck = sum(replay["outcome"] == "still_parked" for replay in told)
        async with pool.acquire() as conn:
            page = await parked.list_parked(conn, closed_too=False, limit=stuck + PAGE_ROWS)
        fresh = [row["id"] for row in page if row["id"] not in tried]
        if not fresh:
            return
        for parked_id in fresh:
            yield parked_id


async def _replay_one(
    pool: asyncpg.Pool, parked_id: int, act: ParkedAct, policy: Policy, keys: EnvelopeKeys
) -> dict[str, Any]:
    told: dict[str, Any] = {"by": act.by, "note": act.note, "policy": policy, "now": clock.now()}

    async def work(conn: Conn) -> Any:
        try:
            return await apply.replay(conn, parked_id, **told)
        except parked.UnreadableMessage:
            return await apply.replay_message(conn, parked_id, keys, **told)

    try:
        tally = await repeat_on_conflict(pool, work)
    except parked.NotOpen:
        return _not_open(parked_id)
    except parked.UnreadableMessage:
        return _as_json(parked_id, "still_parked", error="it is no readable message; it can only be discarded")
    except NotAuthentic as error:
        return _as_json(parked_id, "still_parked", error=f"{error}; `parked show` shows it, --unsigned believes it")
    except Exception as error:  # the error that parked it may occur again, and must not hold up the others
        if is_outage(error):
            raise
        return _as_json(parked_id, "still_parked", error=f"{type(error).__name__}: {one_line(error)}")
    outcomes = sorted(tally.outcomes)
    return _as_json(parked_id, "superseded" if tally.duplicates else "replayed", event_outcomes=outcomes)


async def _discard_one(pool: asyncpg.Pool, parked_id: int, act: ParkedAct) -> dict[str, Any]:
    close = partial(
        parked.close_parked, parked_id=parked_id, outcome="discarded", by=act.by, note=act.note, now=clock.now()
    )
    try:
        await repeat_on_conflict(pool, close)
    except parked.NotOpen:
        return _not_open(parked_id)
    return _as_json(parked_id, "discarded")


def _not_open(parked_id: int) -> dict[str, Any]:
    return _as_json(parked_id, "not_open", error="it is not parked, or was closed before; `parked show` tells")


def _as_json(
    parked_id: int, outcome: str, *, event_outcomes: Sequence[str] = (), error: str | None = None
) -> dict[str, Any]:
    return {"id": parked_id, "outcome": outcome, "event_outcomes": list(event_outcomes), "error": error}
