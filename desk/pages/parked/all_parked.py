"""The list of parked events, the oldest first, by the reason for which they were parked."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import FormFields, list_path, number_in, query_of
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.store.deliveries.parked import count_parked, list_parked

PARKED: Final = "/parked"
ROWS: Final = 50  # of one page
NEW: Final = timedelta(hours=24)
FILTERS: Final = ("reason", "account", "closed")
# The reasons that Tillkeeper itself parks for, and those of the broker's; what else a broker says stands as it is.
REASONS: Final = frozenset(
    {"cannot_be_applied", "cannot_be_kept", "delivery_limit", "unreadable", "not_authentic", "expired", "maxlen"}
)
OTHER: Final = "other"


async def show(request: web.Request) -> web.Response:
    """Answers GET /parked."""
    desk, shower, form = desk_of(request), shower_for(request), query_of(request)
    after = number_in(form.text("after")) if form.text("after") else 0
    async with desk.pool.acquire() as conn:
        counts = await count_parked(conn, since=shower.now - NEW)
        found = await list_parked(
            conn,
            closed_too=form.text("closed") == "too",
            after=after,
            account=form.text("account") or None,
            reason=form.text("reason") or None,
            limit=ROWS + 1,
        )
    rows = found[:ROWS]
    return page(
        request,
        "parked/all.html",
        shower=shower,
        title=_title(shower, counts),
        lead=_lead(shower, counts),
        tone="act" if counts else "calm",
        chosen=form,
        counts=counts,
        rows=rows,
        key_of=key_of,
        list_path=lambda **changes: _path(form, **changes),
        accounts=sorted(desk.settings.accounts),
        next_page=_path(form, after=str(rows[-1]["id"])) if len(found) > ROWS else None,
        first_page=_path(form) if after else None,
        may_act=is_enough(actor(request).role, Role.OPERATOR),
        total=sum(row["count"] for row in counts),
    )


def key_of(reason: str) -> str:
    """Returns the key of the words about a reason."""
    return reason if reason in REASONS else OTHER


def _title(shower: Shower, counts: Iterable[dict[str, Any]]) -> str:
    total = sum(row["count"] for row in counts)
    return shower.say("parked.title", count=total) if total else shower.say("parked.title_none")


def _lead(shower: Shower, counts: list[dict[str, Any]]) -> str:
    if not counts:
        return shower.say("parked.lead_none")
    oldest, new = min(row["oldest"] for row in counts), sum(row["new"] for row in counts)
    return shower.say("parked.lead", span=shower.since(oldest), new=new)


def _path(form: FormFields, **changes: str) -> str:
    return list_path(PARKED, **({name: form.text(name) for name in FILTERS} | changes))
