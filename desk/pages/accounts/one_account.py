"""The page of one account: what comes against the usual, its keys, where the truth comes from, and what fails now."""

from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.pages.accounts.account import state_of, usual_hours
from tillkeeper.desk.pages.accounts.all_accounts import sentence_of
from tillkeeper.desk.pages.order import gateway_title
from tillkeeper.desk.paths import account_in
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.silence import hour_of
from tillkeeper.domain.ways_of_paying import fails_now
from tillkeeper.store.accounts.health import activity_of
from tillkeeper.store.accounts.keys import key_uses
from tillkeeper.store.reports.accounts import truth_by_source, ways_of_paying
from tillkeeper.store.reports.flow import HOURS, AccountActivity, read_accounts
from tillkeeper.store.reports.keys import key_rows
from tillkeeper.store.reports.pauses import list_pauses

HOUR: Final = timedelta(hours=1)


async def show(request: web.Request) -> web.Response:
    """Answers GET /accounts/{name}."""
    desk, shower, name = desk_of(request), shower_for(request), account_in(request)
    async with desk.pool.acquire() as conn:
        seen = (await read_accounts(conn, shower.now)).get(name)
        if seen is None and name not in desk.settings.accounts:
            raise web.HTTPNotFound
        activity = (await activity_of(conn, [name], now=shower.now)).get(name)
        ways = await ways_of_paying(conn, now=shower.now, account=name)
        sources = (await truth_by_source(conn, now=shower.now, account=name)).get(name, {})
        pauses = await list_pauses(conn, ended_too=False, account=name, limit=1)
        uses = [use for use in await key_uses(conn) if use.account == name]
    gateway = desk.gateways().get(name)
    pause = next(iter(pauses), None)
    state = state_of(name, seen or AccountActivity(), activity, ways, pause=pause, now=shower.now)
    hours = _hours(shower.now)
    return page(
        request,
        "accounts/one.html",
        shower=shower,
        name=name,
        gateway=gateway_title(desk, shower, name),
        sentence=sentence_of(shower, state),
        state=state,
        pause=pause,
        hours=list(
            zip(
                hours,
                state.seen.hours,
                [activity.minutes.get(hour, 0) if activity else 0 for hour in hours],
                usual_hours(activity, hours),
                strict=True,
            )
        ),
        keys=key_rows({name: gateway.key_labels()} if gateway is not None else {}, uses, now=shower.now),
        sources=sources,
        ways=ways,
        fails_now=fails_now,
    )


def _hours(now: datetime) -> list[datetime]:
    """Returns the hours that are shown, the oldest first."""
    return [hour_of(now) - ago * HOUR for ago in range(HOURS - 1, -1, -1)]
