"""The list of accounts: who talks as usual and who does not, and where what is known comes from."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.context import Desk, desk_of
from tillkeeper.desk.pages.accounts.account import AccountState, state_of
from tillkeeper.desk.pages.order import gateway_title
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.events import Evidence
from tillkeeper.store.accounts.health import activity_of
from tillkeeper.store.reports.accounts import truth_by_source, ways_of_paying
from tillkeeper.store.reports.flow import AccountActivity, read_accounts
from tillkeeper.store.reports.pauses import HELD_COUNTED_MAX, open_pauses

WORST: Final = ("paused", "silent", "unanswering", "failing", "talks", "quiet")


async def show(request: web.Request) -> web.Response:
    """Answers GET /accounts."""
    desk, shower = desk_of(request), shower_for(request)
    async with desk.pool.acquire() as conn:
        seen = await read_accounts(conn, shower.now)
        pauses = await open_pauses(conn)
        names = sorted(set(desk.settings.accounts) | set(seen) | set(pauses))
        activity = await activity_of(conn, names, now=shower.now)
        ways = await ways_of_paying(conn, now=shower.now)
        sources = await truth_by_source(conn, now=shower.now)
    states = [
        state_of(
            name, seen.get(name, AccountActivity()), activity.get(name), ways, pause=pauses.get(name), now=shower.now
        )
        for name in names
    ]
    states.sort(key=lambda state: (WORST.index(state.word), state.name))
    return page(
        request,
        "accounts/all.html",
        shower=shower,
        title=_title(desk, shower, states),
        tone=next((state.tone for state in states), "calm"),
        states=states,
        sources=sources,
        evidence=tuple(Evidence),
        gateway=lambda account: gateway_title(desk, shower, account),
        span_of=lambda state: sentence_of(shower, state),
    )


def _title(desk: Desk, shower: Shower, states: list[AccountState]) -> str:
    if not states:
        return shower.say("accounts.title_none")
    worst = states[0]
    if worst.tone == "calm":
        return shower.say("accounts.title_calm")
    name = shower.cut(gateway_title(desk, shower, worst.name))
    others = sum(state.tone != "calm" for state in states) - 1
    first = shower.say("accounts.title_one", account=name, what=sentence_of(shower, worst))
    return first if not others else shower.say("accounts.title_more", first=first, count=others)


def sentence_of(shower: Shower, state: AccountState) -> str:
    """Writes what is so of an account, in a few words."""
    match state.word:
        case "paused" if state.pause is not None:
            held, at = shower.up_to(state.pause.held, HELD_COUNTED_MAX), shower.at(state.pause.paused_at)
            return shower.say("accounts.paused", count=state.pause.held, held=held, at=at)
        case "silent":
            told = {"span": shower.since(state.seen.silent_since or shower.now)}
            if state.usual_gap is None:
                return shower.say("accounts.silent", **told)
            return shower.say("accounts.silent_usual", usual=shower.lasting(state.usual_gap), **told)
        case "unanswering":
            return shower.say("accounts.unanswering", span=shower.since(state.seen.unanswering_since or shower.now))
        case "failing":
            methods = ", ".join(
                shower.cut(way.method) if way.method else shower.say("accounts.not_said") for way in state.failing
            )
            return shower.say("accounts.failing", methods=methods)
        case word:
            return shower.say("accounts.talks" if word == "talks" else "accounts.quiet")
