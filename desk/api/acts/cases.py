"""What programs do about cases, for a person: take, note, follow up, escalate, resolve; and the end of a shift."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from tillkeeper.desk.acting import Deed, by_of
from tillkeeper.desk.api.acting import act_once, told_of_proposals
from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.cases import no_such_case
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types.queues import Approval, CaseAfter, Handover
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.domain.order.cases import FOLLOW_UP_MAX, BadFollowUp
from tillkeeper.store.cases import acts
from tillkeeper.store.cases.acts import HighestLevel, MovedOn, TakesTwo, propose_to_resolve, subject_of
from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.case_list import cases_named
from tillkeeper.store.reports.handover import hand_over

Act = Callable[..., Awaitable[None]]


async def take(call: CheckedCall) -> web.Response:
    """Answers POST /api/cases/{id}/take."""
    said = {"owner": call.person.name, "seen": call.body.seen}
    return await _act(call, "take a case", call.body.reason, acts.take, said)


async def note(call: CheckedCall) -> web.Response:
    """Answers POST /api/cases/{id}/note."""
    return await _act(call, "note on a case", call.body.text, acts.note, {"text": call.body.text})


async def follow_up(call: CheckedCall) -> web.Response:
    """Answers POST /api/cases/{id}/follow-up."""
    said = {"at": call.body.at, "text": call.body.reason, "seen": call.body.seen}
    return await _act(call, "follow up a case", call.body.reason, acts.follow_up_at, said)


async def escalate(call: CheckedCall) -> web.Response:
    """Answers POST /api/cases/{id}/escalate."""
    levels = call.desk.policy().cases.levels
    said = {"levels": levels, "text": call.body.reason, "seen": call.body.seen}
    return await _act(call, "escalate a case", call.body.reason, acts.escalate, said)


async def resolve(call: CheckedCall) -> web.Response:
    """Answers POST /api/cases/{id}/resolve."""
    said = {"outcome": call.body.outcome, "text": call.body.reason, "seen": call.body.seen}
    return await _act(call, "resolve a case", call.body.outcome, acts.resolve, said)


async def propose(call: CheckedCall) -> web.Response:
    """Answers POST /api/cases/{id}/propose-resolution: nothing is resolved until another person confirms it."""
    wanted, by, now = call.body, call.person.name, call.desk.now()

    async def work(conn: Conn) -> Approval:
        said = {"outcome": wanted.outcome, "text": wanted.reason, "seen": wanted.seen}
        return made(Approval, await propose_to_resolve(conn, call.id, by=by, now=now, **said))

    deed = Deed(what="propose to resolve a case", subject=subject_of(call.id), why=wanted.outcome)
    with told(), told_of_proposals():
        return await act_once(call, deed, work, status=202)


@contextmanager
def told() -> Iterator[None]:
    """Says why an act on a case was not done."""
    try:
        yield
    except NoSuchCase:
        raise no_such_case() from None
    except BadFollowUp:
        latest = f"Send a time within the next {FOLLOW_UP_MAX.days} days."
        raise ApiProblem(400, "at: it is over, or so late that the case would be forgotten", latest) from None
    except MovedOn as moved:
        raise ApiProblem(409, str(moved), "Read the case again, and send its `seen`.") from None
    except ClosedCase:
        raise ApiProblem(409, "the case is closed", "Only notes can be added to it.") from None
    except TakesTwo:
        remedy = "Propose it: POST /api/cases/{id}/propose-resolution.  Another operator confirms it at /api/approvals."
        raise ApiProblem(409, "the case says whether money counts, and is resolved by two people", remedy) from None
    except HighestLevel:
        raise ApiProblem(
            409, "the case is at the highest level that the policy has", "Resolve it, or take it."
        ) from None


async def _act(call: CheckedCall, what: str, why: str, act: Act, said: dict[str, object]) -> web.Response:
    by, now = by_of(call.request), call.desk.now()

    async def work(conn: Conn) -> CaseAfter:
        await act(conn, call.id, by=by, now=now, **said)
        [case] = await cases_named(conn, [call.id])
        return made(CaseAfter, case)

    with told():
        return await act_once(call, Deed(what=what, subject=subject_of(call.id), why=why), work)


async def do_hand_over(call: CheckedCall) -> web.Response:
    """Answers POST /api/handover."""
    by, now = by_of(call.request), call.desk.now()

    async def work(conn: Conn) -> Handover:
        return made(Handover, await hand_over(conn, by=by, now=now))

    return await act_once(call, Deed(what="hand over", subject="shift"), work)
