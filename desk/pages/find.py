"""The page that finds whatever somebody has in hand."""

from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import sent_fields
from tillkeeper.desk.looking_up import allowed_of, contacts_in, may_look_up, without_contacts
from tillkeeper.desk.navigation import is_open_to
from tillkeeper.desk.paths import order_path
from tillkeeper.desk.person import person_of
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.failures import guidance_for
from tillkeeper.domain.search.hits import WHY_WORDS, Hit, HitKind, SearchResult
from tillkeeper.domain.search.parsing import TEXT_CHARS_MAX, search_for
from tillkeeper.domain.search.probes import Search
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.failure_codes import KnownCode, meanings_of
from tillkeeper.store.search.find import find

CODES_SHOWN: Final = 5
ADDRESS_CHARS_MAX: Final = 800  # a character of Chinese takes nine bytes of an address, and servers read 8 KB of it
# Hits of which the order that they name is registered.
_AT_ORDERS: Final = frozenset(
    {HitKind.ORDER, HitKind.PAYMENT, HitKind.REFUND, HitKind.DISPUTE, HitKind.EVENT, HitKind.MISMATCHED, HitKind.NOTICE}
)
_OWN_PAGES: Final = {HitKind.CASE: "/cases/{id}", HitKind.PARKED: "/parked/{id}", HitKind.REFUSED: "/refused/{id}"}


async def show(request: web.Request) -> web.Response:
    """Answers GET /find?q=.  A contact in it is not looked for: it would stand in histories and in logs of proxies."""
    text, shower = request.query.get("q", ""), shower_for(request)
    search = search_for(text, now=shower.now, zone=shower.zone)
    by_button = bool(contacts_in(search)) and may_look_up(request)
    return await _answer(request, shower, text, search, without_contacts(search), by_button=by_button)


async def show_sent(request: web.Request) -> web.Response:
    """Answers POST /find: leads to the address of what was found where all of the text may stand in one."""
    sent, shower = (await sent_fields(request)).get("q", ""), shower_for(request)
    text = sent if isinstance(sent, str) else ""
    search = search_for(text, now=shower.now, zone=shower.zone)
    if len(text) <= ADDRESS_CHARS_MAX and not contacts_in(search):
        raise web.HTTPSeeOther(f"/find?q={quote(text, safe='', errors='replace')}")
    return await _answer(request, shower, text, search, await allowed_of(request, search))


async def _answer(
    request: web.Request, shower: Shower, text: str, search: Search, allowed: Search, *, by_button: bool = False
) -> web.Response:
    desk = desk_of(request)
    found = await find(desk.pool, allowed) if allowed.probes else SearchResult(cut=allowed.cut)
    codes = [meaning for code in search.codes for meaning in meanings_of(code)][:CODES_SHOWN]
    return page(
        request,
        "find.html",
        shower=shower,
        q=text if len(text) <= ADDRESS_CHARS_MAX else "",
        q_chars_max=ADDRESS_CHARS_MAX,
        text_chars_max=TEXT_CHARS_MAX,
        title=_title(shower, text, found, codes, by_button=by_button),
        lead=None if by_button else _lead(text, found, codes),
        found=found,
        codes=[(code, guidance_for(code.failure)) for code in codes],
        why=WHY_WORDS,
        statuses_of_orders=frozenset(Status),
        path_of=lambda hit: _path_of(request, hit),
        has_claim=lambda hit: hit.kind in _AT_ORDERS and hit.order_ref is not None,
        is_limited=allowed.probes != search.probes and not by_button,
        by_button=by_button,
        told=lambda words: words.zh if shower.locale == "zh" else words.en,
    )


def _title(shower: Shower, text: str, found: SearchResult, codes: list[KnownCode], *, by_button: bool) -> str:
    if not text.strip():
        return shower.say("find.title_empty")
    if codes and not found.groups:
        return shower.say("find.title_code", code=shower.cut(codes[0].code))
    if not found.groups:
        return shower.say("find.title_by_button" if by_button else "find.title_nothing")
    count = sum(group.found for group in found.groups)
    if any(group.more for group in found.groups):
        return shower.say("find.title_more", count=count)
    return shower.say("find.title", count=count)


def _lead(text: str, found: SearchResult, codes: list[KnownCode]) -> str | None:
    if not text.strip():
        return "find.lead_empty"
    return None if found.groups or codes else "find.lead_nothing"


def _path_of(request: web.Request, hit: Hit) -> Any:
    """Returns where a hit leads to, or None."""
    pattern = _OWN_PAGES.get(hit.kind)
    if pattern is not None and is_open_to(request.app, person_of(request), pattern):
        return pattern.replace("{id}", hit.ref)
    if hit.kind in _AT_ORDERS and hit.order_ref is not None:
        return order_path(hit.order_ref)
    return None
