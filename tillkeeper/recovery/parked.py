"""Replays or discards parked events, each in a transaction of its own, so that one that fails holds up no other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper import clock
from tillkeeper.domain.delivery import EnvelopeKeys, NotAuthentic
from tillkeeper.domain.policy import Policy
from tillkeeper.logs import one_line
from tillkeeper.store.apply import batch as apply
from tillkeeper.store.apply import effects
from tillkeeper.store.deliveries import parked
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import is_outage
from tillkeeper.store.postgres.transactions import CONFLICTS, repeat_on_conflict

PAGE_ROWS: Final = 500


class ParkedAct(msgspec.Struct, frozen=True, kw_only=True):
    """Who closes the events, and why; `also` is done in the transaction of each that is closed."""

    by: str
    note: str
    also: Callable[[Conn, int], Awaitable[None]] | None = None


async def _and_also(conn: Conn, act: ParkedAct, parked_id: int) -> None:
    if act.also is not None:
        await act.also(conn, parked_id)


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
    async def work(conn: Conn) -> apply.Tally:
        tally = await _apply(conn, parked_id, act, policy, keys)
        await _and_also(conn, act, parked_id)
        return tally

    try:
        tally = await repeat_on_conflict(pool, work)
    except Exception as error:  # the error that parked it may occur again, and must not hold up the others
        if is_outage(error):
            raise
        return _failed(parked_id, error)
    outcomes = sorted(tally.outcomes)
    return _as_json(parked_id, "superseded" if tally.duplicates else "replayed", event_outcomes=outcomes)


async def _apply(conn: Conn, parked_id: int, act: ParkedAct, policy: Policy, keys: EnvelopeKeys) -> apply.Tally:
    told: dict[str, Any] = {"by": act.by, "note": act.note, "policy": policy, "now": clock.now()}
    try:
        return await apply.replay(conn, parked_id, **told)
    except parked.UnreadableMessage:
        return await apply.replay_message(conn, parked_id, keys, **told)


class StillParked(Exception):
    """The event was not applied; the text says why."""


async def replay_in(conn: Conn, parked_id: int, act: ParkedAct, policy: Policy, keys: EnvelopeKeys) -> None:
    """Applies one again, in the caller's transaction.  Raises StillParked, and what an outage or a conflict raises."""
    try:
        await _apply(conn, parked_id, act, policy, keys)
    except CONFLICTS:
        raise
    except Exception as error:
        if is_outage(error):
            raise
        raise StillParked(_failed(parked_id, error)["error"]) from error


def _failed(parked_id: int, error: Exception) -> dict[str, Any]:
    """Says why one was not applied."""
    if isinstance(error, parked.ParkedNotOpen):
        return _not_open(parked_id)
    if isinstance(error, parked.UnreadableMessage):
        return _as_json(parked_id, "still_parked", error="it is no readable message; it can only be discarded")
    if isinstance(error, NotAuthentic):
        why = f"{error}; `parked show` shows it, --unsigned believes it"
        return _as_json(parked_id, "still_parked", error=why)
    return _as_json(parked_id, "still_parked", error=f"{type(error).__name__}: {one_line(error)}")


class _Undone(Exception):
    """Rolls a trial back; `effects` is what it would have done."""

    def __init__(self, done: effects.BatchEffects) -> None:
        super().__init__("a trial is rolled back")
        self.done = done


async def preview(
    pool: asyncpg.Pool, ids: Sequence[int], act: ParkedAct, policy: Policy, keys: EnvelopeKeys
) -> list[dict[str, Any]]:
    """Says what replaying each would do: it is done, each in a transaction of its own, and rolled back."""
    return [await _preview_one(pool, parked_id, act, policy, keys) for parked_id in dict.fromkeys(ids)]


async def _preview_one(
    pool: asyncpg.Pool, parked_id: int, act: ParkedAct, policy: Policy, keys: EnvelopeKeys
) -> dict[str, Any]:
    async def work(conn: Conn) -> None:
        events = await effects.events_of(conn, parked_id)
        written_before = await effects.last_notice(conn)
        tally = await _apply(conn, parked_id, act, policy, keys)
        raise _Undone(await effects.read_effects(conn, events, tally, written_before=written_before))

    try:
        await repeat_on_conflict(pool, work)
    except _Undone as undone:
        found = await effects.with_statuses_before(pool, undone.done)
        outcome = "superseded" if found.duplicates else "replayed"
        told = _as_json(parked_id, outcome, event_outcomes=sorted({event.outcome for event in found.events}))
        return told | {"effects": msgspec.to_builtins(found)}
    except Exception as error:
        if is_outage(error):
            raise
        return _failed(parked_id, error) | {"effects": None}
    raise AssertionError("a trial is always rolled back")


async def _discard_one(pool: asyncpg.Pool, parked_id: int, act: ParkedAct) -> dict[str, Any]:
    async def work(conn: Conn) -> None:
        await parked.close_parked(conn, parked_id, "discarded", by=act.by, note=act.note, now=clock.now())
        await _and_also(conn, act, parked_id)

    try:
        await repeat_on_conflict(pool, work)
    except parked.ParkedNotOpen:
        return _not_open(parked_id)
    return _as_json(parked_id, "discarded")


def _not_open(parked_id: int) -> dict[str, Any]:
    return _as_json(parked_id, "not_open", error="it is not parked, or was closed before; `parked show` tells")


def _as_json(
    parked_id: int, outcome: str, *, event_outcomes: Sequence[str] = (), error: str | None = None
) -> dict[str, Any]:
    return {"id": parked_id, "outcome": outcome, "event_outcomes": list(event_outcomes), "error": error}
