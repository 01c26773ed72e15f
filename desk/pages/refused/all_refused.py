"""The list of refused deliveries: how many for which finding of which account, and each by itself."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import FormFields, list_path, number_in, query_of
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.diagnostics.findings import Finding
from tillkeeper.store.deliveries.refused import Tallied, list_refused, tally_refused

REFUSED: Final = "/refused"
ROWS: Final = 50  # of one page
# What somebody here can mend, or must know; a stranger's forgery is nobody's work.
MENDABLE: Final = frozenset(Finding) - {Finding.WRONG_SECRET, Finding.HEADER_MISSING}


async def show(request: web.Request) -> web.Response:
    """Answers GET /refused."""
    desk, shower, form = desk_of(request), shower_for(request), query_of(request)
    before = number_in(form.text("before")) if form.text("before") else None
    account, finding = form.text("account") or None, form.text("finding") or None
    async with desk.pool.acquire() as conn:
        tallied = await tally_refused(conn)
        found = await list_refused(conn, account, finding, limit=ROWS + 1, before=before)
    rows = found[:ROWS]
    return page(
        request,
        "refused/all.html",
        shower=shower,
        title=_title(shower, tallied),
        tone="look" if any(tally.finding in MENDABLE for tally in tallied) else "calm",
        tallied=tallied,
        chosen=form,
        rows=rows,
        list_path=lambda **changes: _path(form, **changes),
        next_page=_path(form, before=str(rows[-1].id)) if len(found) > ROWS else None,
        first_page=_path(form) if before else None,
        may_act=is_enough(actor(request).role, Role.OPERATOR),
    )


def _title(shower: Shower, tallied: list[Tallied]) -> str:
    if not tallied:
        return shower.say("refused.title_none")
    total, accounts = sum(tally.count for tally in tallied), len({tally.account for tally in tallied})
    most = max(tallied, key=lambda tally: tally.count)
    told = {"accounts": shower.say("refused.accounts", count=accounts), "why": shower.word("finding", most.finding)}
    return shower.say("refused.title", count=total, **told)


def _path(form: FormFields, **changes: str) -> str:
    return list_path(REFUSED, **({name: form.text(name) for name in ("account", "finding")} | changes))
