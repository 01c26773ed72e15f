"""The page of a paused account: why, what is held, and what would happen if it went on; looking changes nothing."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import Desk, desk_of
from tillkeeper.desk.paths import account_in
from tillkeeper.desk.person import is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.guard import WINDOW, GuardSign
from tillkeeper.store.apply.try_held import Trial, try_held
from tillkeeper.store.guard.deciding import DEAF_MAX_S
from tillkeeper.store.guard.deciding_in_two import proposal_about
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS
from tillkeeper.store.reports.pauses import HELD_COUNTED_MAX, Pause, list_pauses

MINUTE_S: Final = 60
TRIED_MAX: Final = 200  # their orders are locked meanwhile
TRIAL_S: Final = 3.0  # of the five that a page may take: without a trial, too, people must be able to decide
# By how a pause stands: the key of the title, and how urgent it is.
STATES: Final[Mapping[str, tuple[str, str]]] = {
    "paused": ("guard.title_paused", "act"),
    "going on": ("guard.title_going_on", "look"),
    "being parked": ("guard.title_parking", "look"),
    "over": ("guard.title_none", "calm"),
}


class PauseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says about an act that was not done: `open_form` is the one that it was asked for by."""

    message: str
    open_form: str | None
    sent: Mapping[str, str]
    status: int


async def show(request: web.Request) -> web.Response:
    """Answers GET /accounts/{name}/pause."""
    return await show_pause(request)


async def show_pause(request: web.Request, said: PauseMessage | None = None) -> web.Response:
    """Answers with the account's last pause as it is now.  Raises HTTPNotFound for an account that is not known."""
    desk, shower, person, account = desk_of(request), shower_for(request), actor(request), account_in(request)
    may_decide = is_enough(person.role, role_for("guard_go"))
    async with desk.pool.acquire() as conn:
        pause = next(iter(await list_pauses(conn, ended_too=True, account=account, limit=1)), None)
        proposal = await proposal_about(conn, account, now=shower.now)
    if pause is None and account not in desk.settings.accounts:
        raise web.HTTPNotFound
    waits = pause is not None and pause.decision is None
    word, tone = STATES["over" if pause is None else pause.state]
    return page(
        request,
        "accounts/pause.html",
        status=200 if said is None else said.status,
        shower=shower,
        account=account,
        title=_title(shower, word, account, pause),
        tone=tone,
        pause=pause,
        signs=frozenset(GuardSign),
        waits=waits,
        window_min=int(WINDOW.total_seconds()) // MINUTE_S,
        trial=await _tried(desk, pause, shower.now) if pause is not None and waits and may_decide else None,
        proposal=proposal,
        may_decide=may_decide,
        name=person.name,
        said=said,
        sent={} if said is None else said.sent,
        open_form=None if said is None else said.open_form,
        deaf_min=desk.settings.guard.deaf_min,
        deaf_most_min=DEAF_MAX_S // MINUTE_S,
    )


def _title(shower: Shower, word: str, account: str, pause: Pause | None) -> str:
    name = shower.cut(account)
    if pause is None:
        return shower.say(word, account=name)
    held = shower.up_to(pause.held, HELD_COUNTED_MAX)
    return shower.say(word, account=name, count=pause.held, held=held, at=shower.at(pause.paused_at))


async def _tried(desk: Desk, pause: Pause, now: datetime) -> Trial | None:
    """Returns what would happen; None where that cannot be found out now, for the orders are busy."""
    try:
        async with asyncio.timeout(TRIAL_S):
            return await try_held(desk.pool, pause.id, limit=TRIED_MAX, policy=desk.policy(), now=now)
    except DATABASE_ERRORS:
        return None
