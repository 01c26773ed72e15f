"""The first page: is the till true, what wants a look, how events flow; and the stream that keeps it so."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import Desk, desk_of
from tillkeeper.desk.live.snapshot import COUNTED_MAX, Seldom, TillSnapshot
from tillkeeper.desk.pages.order import gateway_title
from tillkeeper.desk.paths import ACCOUNTS, account_path
from tillkeeper.desk.person import may_look_on
from tillkeeper.desk.render import fragment, page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.till import PATIENCE, Concern, TillVerdict, Tone
from tillkeeper.store.reports.flow import AccountActivity, AnswerCounts, Recent

STREAM_S: Final = 60.0  # then the browser comes again, and it is looked at anew whether it may
RETRY_MS: Final = 300  # how soon it comes again
# Where what wants a look is seen.
LINKS: Final[Mapping[Concern, str]] = {
    Concern.PARKED: "/parked",
    Concern.WAITING: "/waiting",
    Concern.QUIET_ACCOUNTS: "/accounts",
    Concern.NOTICES: "/outbox",
    Concern.NOTICES_DEAD: "/outbox",
    Concern.CASES_RAISED: "/cases",
    Concern.CASES: "/cases",
    Concern.STUCK: "/stuck",
    Concern.PROPOSALS: "/proposals",
}
NONE: Final = Recent()
NONE_ANSWERED: Final = AnswerCounts()
BREAKER_OPEN: Final = "breaker_open"  # why the last query of an account had no answer: none was sent


async def show(request: web.Request) -> web.Response:
    """Answers GET /."""
    desk = desk_of(request)
    snapshot, shower = await desk.feed.fresh(), shower_for(request)
    return page(request, "now.html", shower=shower, **content_of(desk, shower, snapshot))


async def stream(request: web.Request) -> web.StreamResponse:
    """Answers GET /now/stream: what the page shows, each time that it is read anew."""
    desk, shower = desk_of(request), shower_for(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    try:
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        async with asyncio.timeout(STREAM_S):
            async for _ in desk.feed.follow():
                if not await may_look_on(request):
                    break
                if desk.feed.latest is not None:
                    await response.write(shared_event(request, shower, desk.feed.latest))
    except (TimeoutError, ConnectionError):
        pass
    return response


def shared_event(request: web.Request, shower: Shower, snapshot: TillSnapshot) -> bytes:
    """Returns the event that shows a snapshot, which is made once a second for all readers of a language and role."""
    desk, person = desk_of(request), actor(request)
    now = desk.now()

    def make() -> bytes:
        return _event(live_part(desk, msgspec.structs.replace(shower, now=now), snapshot))

    state = snapshot.number, now.replace(microsecond=0)
    return desk.feed.rendered.once(state, (shower.locale, person.role), make)


def live_part(desk: Desk, shower: Shower, snapshot: TillSnapshot) -> str:
    """Returns the part of the page that changes."""
    return fragment("now_live.html", shower, **content_of(desk, shower, snapshot))


def _event(html: str) -> bytes:
    data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"event: now\n{data}\n".encode()


def content_of(desk: Desk, shower: Shower, snapshot: TillSnapshot) -> dict[str, Any]:
    """Returns what the templates show of a snapshot."""
    verdict, seldom = snapshot.verdict(shower.now), snapshot.seldom
    levels: dict[int, int] = {}
    for (_, level), count in snapshot.work.cases.items():
        levels[int(level)] = levels.get(int(level), 0) + count.count
    accounts = sorted({*desk.settings.accounts, *seldom.accounts})
    return {
        "snapshot": snapshot,
        "verdict": verdict,
        "counts": counts_of(verdict),
        "links": {**LINKS, Concern.PAUSED_ACCOUNTS: _decided_at(snapshot)},
        "held": shower.up_to(sum(held.count for held in snapshot.undecided().values()), COUNTED_MAX),
        "depth": desk.depth.ready if desk.depth is not None else None,
        "has_broker": desk.depth is not None,
        "orders": [(status, seldom.orders.counts.get(status, 0)) for status in (*Status, *_of_later_versions(seldom))],
        "levels": sorted(levels.items(), reverse=True),
        "accounts": [_account(desk, shower, snapshot, account) for account in accounts],
        "is_stale": shower.now - snapshot.read_at > timedelta(seconds=10),
    }


def _of_later_versions(seldom: Seldom) -> list[str]:
    """Returns the statuses that a later version gave orders."""
    return sorted(set(seldom.orders.counts) - set(Status))


def _decided_at(snapshot: TillSnapshot) -> str:
    """Returns the page on which the paused account is decided about; of several, the list of accounts."""
    paused = list(snapshot.undecided())
    return account_path(paused[0], "pause") if len(paused) == 1 else ACCOUNTS


def counts_of(verdict: TillVerdict) -> tuple[int, int]:
    """Returns how many things need somebody now, and how many want a look."""
    urgent = sum(look.tone is Tone.ACT for look in verdict.looks)
    return urgent, len(verdict.looks) - urgent


def _tone_of_quiet(known: AccountActivity, now: datetime) -> Tone:
    """Returns how urgent it is that an account is silent or does not answer."""
    since = [at for at in (known.silent_since, known.unanswering_since) if at is not None]
    act_after = PATIENCE[Concern.QUIET_ACCOUNTS].act_after
    is_urgent = bool(since) and act_after is not None and now - min(since) >= act_after
    return Tone.ACT if is_urgent else Tone.LOOK


def _account(desk: Desk, shower: Shower, snapshot: TillSnapshot, account: str) -> dict[str, Any]:
    known = snapshot.seldom.accounts.get(account, AccountActivity())
    recent = snapshot.flow.received.get(account, NONE)
    paused = snapshot.undecided().get(account)
    last = [at for at in (recent.last_at, known.last_at) if at is not None]
    return {
        "name": account,
        "gateway": gateway_title(desk, shower, account),
        "known": known,
        "paused": paused,
        "held": shower.up_to(paused.count, COUNTED_MAX) if paused is not None else None,
        "tone": _tone_of_quiet(known, shower.now),
        "a_minute": recent.count,
        "answered": snapshot.flow.answered.get(account, NONE_ANSWERED),
        "rests": known.failing_since is not None and known.reason == BREAKER_OPEN,
        "last_at": max(last, default=None),
    }
