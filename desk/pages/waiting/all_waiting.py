"""The list of money without an order: what waits, the orders that it may be of and why; and what counts for nothing."""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import FormFields, list_path, moment_in, number_in, query_of
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.likely_orders import LIKENESS_WORDS
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.till import PATIENCE, Concern
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.search.waiting import (
    Mismatched,
    WaitingFilter,
    WaitingPart,
    WaitingPlace,
    Waits,
    count_waiting,
    list_mismatched,
    waiting_part,
)

WAITING: Final = "/waiting"
ROWS: Final = 25  # of one page: each payment's likely orders are looked up
KINDS: Final = {
    "came": ("payment.succeeded",),
    "on_its_way": ("payment.authorized", "payment.pending"),
}
COUNTS_FOR_NOTHING: Final = (CaseKind.REFERENCE_CONFLICT, CaseKind.UNEXPECTED_ACCOUNT, CaseKind.WRONG_CURRENCY)
FILTERS: Final = ("show", "account", "first")


class WaitingList(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows, and where it goes on."""

    waiting: WaitingPart | None = None
    mismatched: list[Mismatched] = msgspec.field(default_factory=list)
    goes_on: str | None = None


async def show(request: web.Request) -> web.Response:
    """Answers GET /waiting, with ?show= for a part, ?account=, ?first=longest, and the place after which it goes on."""
    desk, shower, form = desk_of(request), shower_for(request), query_of(request)
    if form.text("show") not in {"", "mismatched", *KINDS}:
        raise web.HTTPBadRequest
    async with desk.pool.acquire() as conn:
        waits = await count_waiting(conn)
        listed = await (_mismatched(conn, form) if form.text("show") == "mismatched" else _waiting(conn, form))
    return page(
        request,
        "waiting/all.html",
        shower=shower,
        title=_title(shower, waits),
        tone=_tone(waits, shower.now),
        has_any=waits.payments > 0,
        listed=listed,
        chosen=form,
        tabs=[(name, _path(form, show=name), form.text("show") == name) for name in ("", *KINDS, "mismatched")],
        accounts=sorted(desk.settings.accounts),
        likeness=LIKENESS_WORDS,
        told=lambda words: words.zh if shower.locale == "zh" else words.en,
        payment_path=payment_path,
        next_page=_path(form, after=listed.goes_on) if listed.goes_on else None,
        first_page=_path(form) if form.text("after") else None,
    )


def payment_path(account: str, payment_ref: str) -> str:
    """Returns the address of the page of one payment, whose number may hold any character."""
    return f"{WAITING}/payment?{urlencode({'account': account, 'payment': payment_ref})}"


async def _waiting(conn: Conn, form: FormFields) -> WaitingList:
    name = form.text("show")
    wanted = WaitingFilter(account=form.text("account") or None, longest_first=form.text("first") == "longest")
    if name:
        wanted = msgspec.structs.replace(wanted, kinds=KINDS[name])
    part = await waiting_part(conn, limit=ROWS, after=_place(form), wanted=wanted)
    return WaitingList(waiting=part, goes_on=None if part.ends_at is None else _written(part.ends_at))


async def _mismatched(conn: Conn, form: FormFields) -> WaitingList:
    before = number_in(form.text("after")) if form.text("after") else None
    account = form.text("account") or None
    found = await list_mismatched(conn, COUNTS_FOR_NOTHING, account=account, before=before, limit=ROWS + 1)
    rows = found[:ROWS]
    return WaitingList(mismatched=rows, goes_on=str(rows[-1].case_id) if len(found) > ROWS else None)


def _title(shower: Shower, waits: Waits) -> str:
    if waits.oldest is None:
        return shower.say("waiting.title_none")
    span = shower.lasting(shower.now - waits.oldest)
    if waits.is_cut:
        return shower.say("waiting.title_more", count=waits.payments, span=span)
    return shower.say("waiting.title", count=waits.payments, span=span)


def _tone(waits: Waits, now: datetime) -> str:
    """Returns how urgent it is, as the first page has it: a shop's own commit may be late."""
    if waits.oldest is None:
        return "calm"
    act_after = PATIENCE[Concern.WAITING].act_after or timedelta.max
    return "act" if now - waits.oldest >= act_after else "look"


def _path(form: FormFields, **changes: str) -> str:
    return list_path(WAITING, **({name: form.text(name) for name in FILTERS} | changes))


def _place(form: FormFields) -> WaitingPlace | None:
    """Reads the place after which this page begins.  Raises HTTPBadRequest."""
    text = form.text("after")
    if not text:
        return None
    at, _, seq = text.partition("~")
    return WaitingPlace(at=moment_in(at), seq=number_in(seq))


def _written(place: WaitingPlace) -> str:
    return f"{place.at.isoformat()}~{place.seq}"
