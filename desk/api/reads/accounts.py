"""Reads how accounts do, and whether the till is true."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from aiohttp import web

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types import accounts as types
from tillkeeper.desk.context import Desk
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.pages.accounts.account import AccountState, state_of
from tillkeeper.domain.ways_of_paying import WayOfPaying, fails_now
from tillkeeper.store.accounts.health import activity_of
from tillkeeper.store.accounts.keys import key_uses
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.accounts import truth_by_source, ways_of_paying
from tillkeeper.store.reports.flow import AccountActivity, Recent, read_accounts
from tillkeeper.store.reports.keys import key_rows
from tillkeeper.store.reports.pauses import open_pauses

HEALTH_LIVES: Final = timedelta(seconds=1)
_STATES: Final[Mapping[str, Literal["ok", "failing", "unanswering", "silent", "paused"]]] = {
    "paused": "paused",
    "silent": "silent",
    "unanswering": "unanswering",
    "failing": "failing",
}


async def now(call: CheckedCall) -> types.Now:
    """Answers GET /api/now."""
    snapshot = await call.desk.feed.fresh()
    verdict, flow, seldom = snapshot.verdict(call.desk.now()), snapshot.flow, snapshot.seldom
    return types.Now(
        read_at=snapshot.read_at,
        truth=verdict.truth,
        tone=verdict.tone,
        looks=[made(types.Look, look) for look in verdict.looks],
        received=_rates(flow.received),
        applied=_rates(flow.applied),
        told=_rates(flow.told),
        lag_s=None if flow.lag is None else flow.lag.total_seconds(),
        waiting_in_broker=snapshot.broker_waiting,
        waiting_in_database=snapshot.work.spool.count,
        orders=dict(seldom.orders.counts),
        orders_are_estimates=seldom.orders.is_estimate,
    )


def _rates(recent: Mapping[str, Recent]) -> dict[str, types.Rate]:
    return {name: made(types.Rate, each) for name, each in recent.items()}


async def accounts(call: CheckedCall) -> list[types.Account]:
    """Answers GET /api/accounts."""
    desk = call.desk
    async with desk.pool.acquire() as conn:
        states = await _states(conn, desk, desk.now())
        sources = await truth_by_source(conn, now=desk.now())
    return [types.Account(**_fields(desk, state, sources.get(state.name, {}))) for state in states]


async def _states(conn: Conn, desk: Desk, now: datetime) -> list[AccountState]:
    seen = await read_accounts(conn, now)
    names = sorted(set(desk.settings.accounts) | set(seen))
    activity = await activity_of(conn, names, now=now)
    ways, pauses = await ways_of_paying(conn, now=now), await open_pauses(conn)
    return [
        state_of(name, seen.get(name, AccountActivity()), activity.get(name), ways, pause=pauses.get(name), now=now)
        for name in names
    ]


def _fields(desk: Desk, state: AccountState, sources: Mapping[str, int]) -> dict[str, Any]:
    settings, seen = desk.settings.accounts.get(state.name), state.seen
    return {
        "name": state.name,
        "gateway": None if settings is None else settings.gateway,
        "state": state.word,
        "paused_since": None if state.pause is None else state.pause.paused_at,
        "last_at": seen.last_at,
        "silent_since": seen.silent_since,
        "unanswering_since": seen.unanswering_since,
        "answered_at": seen.answered_at,
        "reason": seen.reason,
        "usual_gap_s": None if state.usual_gap is None else state.usual_gap.total_seconds(),
        "deliveries_by_hour": list(seen.hours),
        "learnt_by": dict(sources),
        "failing": _failing(state.failing),
    }


def _failing(ways: Iterable[WayOfPaying]) -> list[types.FailingWay]:
    return [made(types.FailingWay, way, failed=way.failed_hour, succeeded=way.succeeded_hour) for way in ways]


async def account(call: CheckedCall) -> types.WholeAccount:
    """Answers GET /api/accounts/{account}."""
    desk, name, moment = call.desk, call.parts["account"], call.desk.now()
    async with desk.pool.acquire() as conn:
        seen = (await read_accounts(conn, moment)).get(name)
        if seen is None and name not in desk.settings.accounts:
            raise ApiProblem(404, "no such account is configured, and none was", "Take the name from /api/accounts.")
        activity = (await activity_of(conn, [name], now=moment)).get(name)
        ways = await ways_of_paying(conn, now=moment, account=name)
        sources = (await truth_by_source(conn, now=moment, account=name)).get(name, {})
        uses = [use for use in await key_uses(conn) if use.account == name]
        pause = (await open_pauses(conn, name)).get(name)
    gateway = desk.gateways().get(name)
    state = state_of(name, seen or AccountActivity(), activity, ways, pause=pause, now=moment)
    labels = {} if gateway is None else {name: gateway.key_labels()}
    return types.WholeAccount(
        **_fields(desk, state, sources),
        keys=[made(types.Key, row) for row in key_rows(labels, uses, now=moment)],
        ways=[made(types.Way, way, fails_now=fails_now(way)) for way in ways],
    )


class HealthCache:
    """The health of the accounts of a second ago at most, read once for all who ask."""

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._latest: types.Health | None = None

    async def fresh(self, desk: Desk) -> types.Health:
        """Returns it."""
        async with self._reading:
            moment = desk.now()
            if self._latest is None or not timedelta(0) <= moment - self._latest.as_of < HEALTH_LIVES:
                self._latest = await _read_health(desk, moment)
            return self._latest


async def _read_health(desk: Desk, moment: datetime) -> types.Health:
    async with desk.pool.acquire() as conn:
        seen = await read_accounts(conn, moment)
        ways, pauses = await ways_of_paying(conn, now=moment), await open_pauses(conn)

    def state(name: str) -> AccountState:
        return state_of(name, seen.get(name, AccountActivity()), None, ways, pause=pauses.get(name), now=moment)

    return types.Health(
        as_of=moment,
        accounts=[_health(state(name), settings.gateway) for name, settings in sorted(desk.settings.accounts.items())],
    )


def _health(state: AccountState, gateway: str) -> types.AccountHealth:
    return types.AccountHealth(
        account=state.name,
        gateway=gateway,
        state=_STATES.get(state.word, "ok"),
        since=state.pause.paused_at if state.pause else state.seen.silent_since or state.seen.unanswering_since,
        failing=_failing(state.failing),
    )


HEALTH_CACHE: Final = web.AppKey("HEALTH_CACHE", HealthCache)


async def health(call: CheckedCall) -> types.Health:
    """Answers GET /api/accounts/health."""
    return await call.request.app[HEALTH_CACHE].fresh(call.desk)
