"""Stores each account's webhook activity and query results, and opens and closes silences (domain/silence.py decides).

    apply counts deliveries ───────┐
                                   ├──> watch (one transaction): claim accounts ─ judge ─ open or close rows of silences
    sweepers note who answered ────┘    ─ notify ops ─ request queries about open payments ─ request a backfill

A silence is an open row, and a check locks the account's row of account_health, so that each silence is reported once,
however many sweepers there are.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, assert_never

import msgspec

from tillkeeper.domain.account_notices import silence_begins, silence_ends
from tillkeeper.domain.policy import SilencePolicy
from tillkeeper.domain.silence import (
    DAY,
    DAYS_KEPT,
    Activity,
    Answers,
    Begins,
    Ends,
    change_in_activity,
    change_in_answers,
    hour_of,
    together,
)
from tillkeeper.domain.statuses import OPEN
from tillkeeper.store.jobs.backfill import UNDER_WAY, Pace, find_open_orders, request_backfill, request_queries
from tillkeeper.store.outbox.writing import write_notices
from tillkeeper.store.postgres.pool import Conn, as_json

WATCH_EVERY: Final = timedelta(seconds=20)  # of one account, however many sweepers there are
OUTAGE: Final = timedelta(minutes=10)  # no check for so long: the database was unavailable, or no sweeper ran
MARGIN: Final = timedelta(minutes=5)  # events from just before may be lost as well; known ones cost nothing
LIST_FIRST: Final = timedelta(minutes=1)  # a list, where there is one, answers most before a query is made
ASKED_MAX: Final = 5_000  # orders of one account in one round


class AccountAbilities(msgspec.Struct, frozen=True, kw_only=True):
    """The ways to learn from an account's gateway: queries, and a list of events."""

    ask: bool
    list: bool


class HealthChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that the check of an account found or made."""

    account: str
    what: Literal["silent", "talking", "unanswering", "answering", "asked_sooner", "outage"]
    since: datetime
    orders: int = 0


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """The stored state of one account."""

    account: str
    can: AccountAbilities
    watched_at: datetime
    answers: Answers
    activity: Activity | None
    open: Mapping[str, tuple[datetime, datetime]]  # by kind: since when, and when payments were last queried
    policy: SilencePolicy
    now: datetime


BEGIN_TO_WATCH = """
INSERT INTO account_health (account, watched_at)
SELECT account, $2 FROM unnest($1::text[]) AS w (account) ORDER BY account
ON CONFLICT (account) DO NOTHING
"""

LOCK_ANSWERS = """
SELECT account, answered_at, failing_since, failed_at, reason FROM account_health
WHERE account = ANY($1::text[]) ORDER BY account FOR UPDATE
"""

WRITE_ANSWERS = """
UPDATE account_health AS p
SET answered_at = w.answered_at, failing_since = w.failing_since, failed_at = w.failed_at, reason = w.reason
FROM json_populate_recordset(NULL::account_health, $1::json) AS w WHERE p.account = w.account
"""


async def note_answers(conn: Conn, seen: Mapping[str, Answers], *, now: datetime) -> None:
    """Adds a sweeper's query results."""
    if not seen:
        return
    await conn.execute(BEGIN_TO_WATCH, sorted(seen), now - WATCH_EVERY)
    rows = await conn.fetch(LOCK_ANSWERS, sorted(seen))
    known = {row["account"]: together(_answers_in(row), seen[row["account"]]) for row in rows}
    written = [{"account": account, **msgspec.structs.asdict(answers)} for account, answers in known.items()]
    await conn.execute(WRITE_ANSWERS, as_json(written))


def _answers_in(row: Any) -> Answers:
    return Answers(
        answered_at=row["answered_at"],
        failing_since=row["failing_since"],
        failed_at=row["failed_at"],
        reason=row["reason"],
    )


CLAIM = """
WITH mine AS MATERIALIZED (
    SELECT account, watched_at FROM account_health
    WHERE account = ANY($1::text[]) AND watched_at <= $2 ORDER BY account FOR UPDATE SKIP LOCKED
)
UPDATE account_health AS p SET watched_at = $3 FROM mine WHERE p.account = mine.account
RETURNING p.account, mine.watched_at AS watched_before, p.answered_at, p.failing_since, p.failed_at, p.reason
"""


async def watch(
    conn: Conn, accounts: Mapping[str, AccountAbilities], *, policy: SilencePolicy, calls_per_s: float, now: datetime
) -> list[HealthChange]:
    """Checks the accounts that are due, in the caller's transaction, and does what follows."""
    await conn.execute(BEGIN_TO_WATCH, sorted(accounts), now - WATCH_EVERY)
    rows = await conn.fetch(CLAIM, sorted(accounts), now - WATCH_EVERY, now)
    names = sorted(row["account"] for row in rows)
    if not names:
        return []
    active, quiet = await activity_of(conn, names, now=now), await _open_silences(conn, names)
    pace = Pace.half_rate(calls_per_s, orders_max=ASKED_MAX, within=policy.ask_every)
    changes: list[HealthChange] = []
    for row in sorted(rows, key=lambda row: str(row["account"])):
        look = _Look(
            account=row["account"],
            can=accounts[row["account"]],
            watched_at=row["watched_before"],
            answers=_answers_in(row),
            activity=active.get(row["account"]),
            open=quiet.get(row["account"], {}),
            policy=policy,
            now=now,
        )
        changes += await _look_at(conn, look, pace)
    await conn.execute(FORGET_ACTIVITY, names, now - (DAYS_KEPT + 1) * DAY)
    return changes


ACTIVITY = """
SELECT account, hour, bit_count(bit_or(minutes)::bit(64))::int AS minutes, max(last_at) AS last_at
FROM activity WHERE account = ANY($1::text[]) AND hour >= $2 GROUP BY account, hour
"""

FORGET_ACTIVITY = "DELETE FROM activity WHERE account = ANY($1::text[]) AND hour < $2"


async def activity_of(conn: Conn, accounts: Collection[str], *, now: datetime) -> dict[str, Activity]:
    """Reads each account's recent activity; an account without deliveries has none."""
    hours: dict[str, dict[datetime, int]] = {}
    last_at: dict[str, datetime] = {}
    for row in await conn.fetch(ACTIVITY, sorted(accounts), hour_of(now) - DAYS_KEPT * DAY):
        account = row["account"]
        hours.setdefault(account, {})[row["hour"]] = row["minutes"]
        last_at[account] = max(row["last_at"], last_at.get(account, row["last_at"]))
    return {hour: Activity(first_hour=min(hours[hour]), last_at=last_at[hour], minutes=hours[hour]) for hour in hours}


OPEN_SILENCES = (
    "SELECT account, kind, since, asked_at FROM silences WHERE account = ANY($1::text[]) AND ended_at IS NULL"
)


async def _open_silences(conn: Conn, accounts: Collection[str]) -> dict[str, dict[str, tuple[datetime, datetime]]]:
    found: dict[str, dict[str, tuple[datetime, datetime]]] = {}
    for row in await conn.fetch(OPEN_SILENCES, sorted(accounts)):
        found.setdefault(row["account"], {})[row["kind"]] = (row["since"], row["asked_at"])
    return found


async def open_silences(conn: Conn, accounts: Collection[str]) -> set[tuple[str, str]]:
    """Returns (account, kind) of all open silences."""
    found = await _open_silences(conn, accounts)
    return {(account, kind) for account, kinds in found.items() for kind in kinds}


async def _look_at(conn: Conn, look: _Look, pace: Pace) -> list[HealthChange]:
    changes: list[HealthChange] = []
    if look.can.ask and look.now - look.watched_at >= OUTAGE:
        await request_backfill(conn, look.account, look.watched_at - MARGIN, reason="outage", now=look.now)
        changes.append(HealthChange(account=look.account, what="outage", since=look.watched_at))
    silent_since = look.open["silent"][0] if "silent" in look.open else None
    changes += await _write_change(
        conn, look, change_in_answers(look.answers, look.policy, is_open="unanswering" in look.open)
    )
    changes += await _write_change(
        conn, look, change_in_activity(look.activity, look.policy, silent_since=silent_since, now=look.now)
    )
    began = next((change.since for change in changes if change.what == "silent"), None)
    is_over = any(change.what == "talking" for change in changes)
    since, asked_at = (began, None) if began else look.open.get("silent", (None, None))
    is_due = asked_at is None or asked_at <= look.now - look.policy.ask_every
    if since is not None and not is_over and look.can.ask and is_due:
        changes.append(await _ask_sooner(conn, look, since, asked_at, pace))
    return changes


async def _write_change(conn: Conn, look: _Look, change: Begins | Ends | None) -> list[HealthChange]:
    match change:
        case Begins():
            return await _begin(conn, look, change)
        case Ends():
            return await _end(conn, look, change)
        case None:
            return []
    assert_never(change)


OPEN_ONE = """
INSERT INTO silences (account, kind, since, noticed_at, asked_at) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (account, kind) WHERE ended_at IS NULL DO NOTHING
RETURNING id
"""


async def _begin(conn: Conn, look: _Look, change: Begins) -> list[HealthChange]:
    silence_id = await conn.fetchval(OPEN_ONE, look.account, change.kind, change.since, look.now)
    if silence_id is None:
        return []
    await write_notices(
        conn, [silence_begins(look.account, silence_id, change, look.answers, now=look.now)], now=look.now
    )
    return [HealthChange(account=look.account, what=change.kind, since=change.since)]


CLOSE_ONE = """
UPDATE silences SET ended_at = $3 WHERE account = $1 AND kind = $2 AND ended_at IS NULL RETURNING id, since
"""


async def _end(conn: Conn, look: _Look, change: Ends) -> list[HealthChange]:
    row = await conn.fetchrow(CLOSE_ONE, look.account, change.kind, look.now)
    if row is None:
        return []
    if look.can.ask:
        await request_backfill(conn, look.account, row["since"] - MARGIN, reason=change.kind, now=look.now)
    await write_notices(conn, [silence_ends(look.account, row["id"], change, since=row["since"])], now=look.now)
    return [
        HealthChange(
            account=look.account, what="talking" if change.kind == "silent" else "answering", since=row["since"]
        )
    ]


ASKED = "UPDATE silences SET asked_at = $2 WHERE account = $1 AND kind = 'silent' AND ended_at IS NULL"


async def _ask_sooner(conn: Conn, look: _Look, since: datetime, asked_at: datetime | None, pace: Pace) -> HealthChange:
    """Requests a round: a backfill from where the last one ended, and queries about open payments one by one."""
    if look.can.list:
        await request_backfill(conn, look.account, (asked_at or since) - MARGIN, reason="silent", now=look.now)
    found = await find_open_orders(
        conn,
        look.account,
        since,
        look.now,
        statuses=UNDER_WAY if look.can.list else OPEN,
        not_asked_since=look.now - look.policy.ask_every / 2,  # else only every second check would find it due
        limit=pace.orders_max,
        now=look.now,
    )
    first = look.now + LIST_FIRST if look.can.list else look.now
    asked = await request_queries(conn, found.ids, [first + n * pace.gap for n in range(len(found.ids))])
    await conn.execute(ASKED, look.account, look.now)
    return HealthChange(account=look.account, what="asked_sooner", since=since, orders=len(asked))
