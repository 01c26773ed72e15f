"""The page of stuck orders: which wait for too long, what they wait for, and what comes next."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.live.snapshot import COUNTED_MAX, STUCK_AFTER
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.numbers import up_to
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.statuses import Status
from tillkeeper.store.reports.stuck import (
    FROM_THE_BEGINNING,
    STUCK,
    StuckFilter,
    StuckPart,
    StuckPlace,
    count_stuck,
    stuck_part,
)

ROWS: Final = 50
PLACE_CHARS_MAX: Final = 40
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
# What an order waits for where neither a person nor a hold stops it.
WAITS_FOR: Final[Mapping[Status, str]] = {
    Status.PROCESSING: "for_gateway",
    Status.REFUNDING: "for_refund",
    Status.FAILED: "for_payer",
    Status.PARTIALLY_PAID: "for_rest",
}


async def show(request: web.Request) -> web.Response:
    """Answers GET /stuck, with ?status= and ?account= and the place behind which the list goes on."""
    desk, shower = desk_of(request), shower_for(request)
    status, account = _status_in(request), request.query.get("account") or None
    after = place_in(request.query.get("after"))
    until = shower.now - STUCK_AFTER
    everything = StuckFilter(until=until, account=account)
    async with desk.pool.acquire() as conn:
        counts = await count_stuck(conn, everything, limit=COUNTED_MAX)
    part = await stuck_part(
        desk.pool,
        StuckFilter(until=until, account=account, statuses=STUCK if status is None else (status,)),
        policy=desk.policy(),
        limit=ROWS,
        now=shower.now,
        after=after,
    )
    total = sum(count for count, _ in counts.values()) if status is None else counts[status][0]
    return page(
        request,
        "stuck.html",
        shower=shower,
        title=_title(shower, counts, status, total),
        tone="look" if total else "calm",
        orders=[{**order, "waits_for": waits_for(order, now=shower.now)} for order in part.orders],
        total=up_to(total, COUNTED_MAX),
        after=STUCK_AFTER,
        chosen=status,
        account=account,
        accounts=sorted(desk.settings.accounts),
        filters=[(name, counts[name][0], _query(status=name, account=account)) for name in STUCK],
        everything=(sum(count for count, _ in counts.values()), _query(account=account)),
        first=_query(status=status, account=account) if after != FROM_THE_BEGINNING else None,
        more=_more(part, status=status, account=account),
    )


def waits_for(order: Mapping[str, Any], *, now: datetime) -> str:
    """Returns the key of what an order waits for: its hold, a person, or what its status waits for."""
    if order["held_until"] is not None and order["held_until"] > now:
        return "for_hold"
    return "for_person" if order["cases"] else WAITS_FOR[Status(order["status"])]


def written_place(place: StuckPlace) -> str:
    """Writes a place for a URL."""
    return f"{(place.since - _EPOCH) // _MICROSECOND}-{place.order_id}"


def place_in(text: str | None) -> StuckPlace:
    """Reads a place.  Raises HTTPBadRequest for what is none."""
    if text is None:
        return FROM_THE_BEGINNING
    since, _, order_id = text.partition("-")
    if len(text) > PLACE_CHARS_MAX or not (text.isascii() and since.isdecimal() and order_id.isdecimal()):
        raise web.HTTPBadRequest
    if int(order_id) >= 2**63 or int(since) >= (_LATEST - _EPOCH) // _MICROSECOND:
        raise web.HTTPBadRequest
    return StuckPlace(since=_EPOCH + int(since) * _MICROSECOND, order_id=int(order_id))


def _status_in(request: web.Request) -> Status | None:
    text = request.query.get("status") or None
    if text is not None and text not in STUCK:
        raise web.HTTPBadRequest
    return None if text is None else Status(text)


def _title(
    shower: Shower, counts: Mapping[Status, tuple[int, datetime | None]], status: Status | None, total: int
) -> str:
    if not total:
        return shower.say("stuck.title_nothing")
    shown = [counts[status]] if status is not None else counts.values()
    oldest = min(since for _, since in shown if since is not None)
    number: object = total if total == 1 else up_to(total, COUNTED_MAX)
    return shower.say("stuck.title", count=number, span=shower.lasting(shower.now - oldest))


def _query(**fields: str | None) -> str:
    given = {name: value for name, value in fields.items() if value is not None}
    return f"/stuck?{urlencode(given)}" if given else "/stuck"


def _more(part: StuckPart, **fields: str | None) -> str | None:
    return None if part.ends_at is None else _query(**fields, after=written_place(part.ends_at))
