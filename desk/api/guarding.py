"""Reads accounts that the guard has paused, says what would happen if they went on, and proposes what is decided."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import Deed
from tillkeeper.desk.api.acting import act_once, told_of_proposals
from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types import guard as types
from tillkeeper.desk.api.types.queues import Approval
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.store.apply.try_held import try_held
from tillkeeper.store.guard.deciding import NotPaused
from tillkeeper.store.guard.deciding_in_two import propose_decision, subject_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports import pauses

PAUSES_MAX: Final = 200
TRIED_MAX: Final = 200  # an answer takes seconds at most, and their orders are locked meanwhile


async def paused(call: CheckedCall) -> list[types.Pause]:
    """Answers GET /api/guard."""
    async with call.desk.pool.acquire() as conn:
        found = await pauses.list_pauses(conn, ended_too=False, limit=PAUSES_MAX)
    return [_pause(each) for each in found]


def _pause(pause: pauses.Pause) -> types.Pause:
    return made(types.Pause, pause, state=pause.state, text=pause.finding.text)


async def trial(call: CheckedCall) -> types.Trial:
    """Answers GET /api/guard/{account}."""
    desk, account = call.desk, call.parts["account"]
    async with desk.pool.acquire() as conn:
        found = await pauses.list_pauses(conn, ended_too=False, account=account, limit=1)
    if not found:
        raise ApiProblem(404, "the account is not paused", "See /api/guard for those that are.")
    tried = await try_held(desk.pool, found[0].id, limit=TRIED_MAX, policy=desk.policy(), now=desk.now())
    return made(types.Trial, tried, pause=_pause(found[0]))


async def propose(call: CheckedCall) -> web.Response:
    """Answers POST /api/guard/{account}/propose: nothing is decided until another person confirms it."""
    account, wanted, by, now = call.parts["account"], call.body, call.person.name, call.desk.now()
    deaf_s = call.desk.settings.guard.deaf_min * 60 if wanted.decision == "go" else 0

    async def work(conn: Conn) -> Approval:
        told = {"by": by, "note": wanted.reason, "deaf_s": deaf_s, "now": now}
        return made(Approval, await propose_decision(conn, account, wanted.decision, **told))

    deed = Deed(what="propose about a paused account", subject=subject_of(account), why=wanted.reason)
    try:
        with told_of_proposals():
            return await act_once(call, deed, work, status=202)
    except NotPaused as refused:
        raise ApiProblem(409, str(refused), "See /api/guard for those that are paused.") from None
