"""What people do about one case: take it, note, follow it up later, escalate, resolve.

Each form carries the last entry that its page showed.  Whoever is second is told who was first, and sees the case as it
is now; nothing of what they wrote is lost, and nothing is done.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from markupsafe import Markup

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, FormFields, form_of, id_in, number_in
from tillkeeper.desk.pages.cases.all_cases import CASES
from tillkeeper.desk.pages.cases.one_case import FORMAT, CaseMessage, show_case
from tillkeeper.desk.render import shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.cases import BadFollowUp
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.cases.acts import HighestLevel, MovedOn, TakesTwo
from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
from tillkeeper.store.postgres.pool import Conn

CONFLICT: Final = 409
BAD: Final = 400

Act = Callable[..., Awaitable[None]]


class WantedCaseAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act with what the person said of it: what the store is told, and what is written down."""

    act: Act
    said: dict[str, object]
    what: str
    why: str = ""


async def take(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/take."""
    return await _act(request, "take", wanted_taking)


async def note(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/note."""
    return await _act(request, "note", _wanted_note)


async def follow_up(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/follow-up."""
    return await _act(request, "follow_up", _wanted_follow_up)


async def escalate(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/escalate."""
    return await _act(request, "escalate", wanted_escalation)


async def resolve(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/resolve.  A case about money is only proposed to be resolved (in_two.py)."""
    return await _act(request, "resolve", wanted_resolution)


def wanted_taking(request: web.Request, _form: FormFields) -> WantedCaseAct:
    """Returns the act by which the case becomes the person's."""
    return WantedCaseAct(act=case_acts.assign, said={"owner": actor(request).name}, what="take a case")


def _wanted_note(_request: web.Request, form: FormFields) -> WantedCaseAct:
    text = form.needed("text", "cases.needs_note")
    return WantedCaseAct(act=case_acts.note, said={"text": text}, what="note on a case", why=text)


def _wanted_follow_up(request: web.Request, form: FormFields) -> WantedCaseAct:
    at = _time_in(form.text("at"), desk_of(request).zone)
    reason = form.needed("reason", "cases.needs_reason")
    return WantedCaseAct(
        act=case_acts.follow_up_at, said={"at": at, "text": reason}, what="follow up a case", why=reason
    )


def wanted_escalation(request: web.Request, form: FormFields) -> WantedCaseAct:
    """Returns the act that raises the case.  Raises BadField where no reason is given."""
    reason, levels = form.needed("reason", "cases.needs_reason"), desk_of(request).policy().cases.levels
    return WantedCaseAct(
        act=case_acts.escalate, said={"levels": levels, "text": reason}, what="escalate a case", why=reason
    )


def wanted_resolution(_request: web.Request, form: FormFields) -> WantedCaseAct:
    """Returns the act that closes the case.  Raises BadField where nobody says how it ended."""
    outcome = form.needed("outcome", "cases.needs_outcome")
    said: dict[str, object] = {"outcome": outcome, "text": form.text("reason")}
    return WantedCaseAct(act=case_acts.resolve, said=said, what="resolve a case", why=outcome)


def _time_in(text: str, zone: ZoneInfo) -> datetime:
    """Reads what the field for a time holds, in the person's zone.  Raises BadField."""
    try:
        return datetime.strptime(text, FORMAT).replace(tzinfo=zone)
    except ValueError:
        raise BadField("cases.needs_time") from None


async def _act(
    request: web.Request, name: str, wanted: Callable[[web.Request, FormFields], WantedCaseAct]
) -> web.Response:
    """Does it and shows the case; where it cannot be done, the case says why, with the form as it was sent."""
    case_id, form, shower = id_in(request), await form_of(request), shower_for(request)
    try:
        does = wanted(request, form)
        await do(request, case_id, does, seen=_seen(form, does))
    except NoSuchCase:
        raise web.HTTPNotFound from None
    except BadField as bad:
        message, status = shower.say(bad.word), BAD
    except BadFollowUp:
        message, status = shower.say("cases.bad_follow_up"), BAD
    except TakesTwo:
        message, status = shower.say("cases.takes_two"), CONFLICT
    except (MovedOn, ClosedCase, HighestLevel) as refused:
        message, status = why_not(shower, refused), CONFLICT
    else:
        raise web.HTTPSeeOther(f"{CASES}/{case_id}")
    sent = form.texts
    return await show_case(request, case_id, CaseMessage(message=message, open_form=name, sent=sent, status=status))


def _seen(form: FormFields, does: WantedCaseAct) -> int | None:
    """Returns the last entry that the person saw.  A note stands beside whatever others did."""
    return None if does.act is case_acts.note else number_in(form.text("seen"))


async def do(request: web.Request, case_id: int, does: WantedCaseAct, *, seen: int | None) -> None:
    """Does it to one case, in the person's name."""
    said = does.said if seen is None else {**does.said, "seen": seen}
    work: Callable[[Conn], Awaitable[None]] = partial(
        does.act, case_id=case_id, by=actor(request).name, now=desk_of(request).now(), **said
    )
    await act(request, Deed(what=does.what, subject=f"case {case_id}", why=does.why), work)


def why_not(shower: Shower, refused: MovedOn | ClosedCase | HighestLevel) -> Markup:
    """Says why an act was not done."""
    if isinstance(refused, MovedOn):
        entry = refused.entry
        by, what = shower.who(entry["by"]), shower.word("case_entry", entry["what"])
        return shower.say("cases.moved_on", by=by, what=what, at=shower.clock(entry["at"]))
    return shower.say("cases.is_closed" if isinstance(refused, ClosedCase) else "cases.is_highest")
