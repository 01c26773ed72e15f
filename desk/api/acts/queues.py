"""What programs do about parked events, notices and money that waits, in a person's name."""

from aiohttp import web

from tillkeeper.desk.acting import Deed, by_of
from tillkeeper.desk.api.acting import Work, act_once, told_of_proposals
from tillkeeper.desk.api.acts import cases, orders
from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.reads.queues import APPROVALS_MAX, one_parked
from tillkeeper.desk.api.types.acts import Decided
from tillkeeper.desk.api.types.queues import Approval, Notice, Parked
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.pages.claim import binding
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.recovery.parked import ParkedAct, StillParked, replay_in
from tillkeeper.store.apply.bind_waiting import BindingRefused, bind_as_approved, check_waits
from tillkeeper.store.cases import acts
from tillkeeper.store.deliveries.parked import ParkedNotOpen, close_parked, parked_named
from tillkeeper.store.guard import deciding_in_two
from tillkeeper.store.guard.deciding import NotPaused
from tillkeeper.store.orders import closing_in_two
from tillkeeper.store.orders.acts import id_of
from tillkeeper.store.outbox.retrying import retry_dead
from tillkeeper.store.people import approvals
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.outbox import notices_named


async def replay(call: CheckedCall) -> web.Response:
    """Answers POST /api/parked/{id}/replay."""
    await one_parked(call)
    desk, why = call.desk, call.body.reason
    act, keys = ParkedAct(by=by_of(call.request), note=why), EnvelopeKeys(desk.settings.envelope_keys)

    async def work(conn: Conn) -> Parked:
        try:
            await replay_in(conn, call.id, act, desk.policy(), keys)
        except StillParked as still:
            raise ApiProblem(409, str(still), "GET .../preview says what replaying would do.") from None
        return await _after(conn, call.id)

    return await act_once(call, Deed(what="replay a parked event", subject=f"parked {call.id}", why=why), work)


async def discard(call: CheckedCall) -> web.Response:
    """Answers POST /api/parked/{id}/discard."""
    await one_parked(call)
    by, why, now = by_of(call.request), call.body.reason, call.desk.now()

    async def work(conn: Conn) -> Parked:
        try:
            await close_parked(conn, call.id, "discarded", by=by, note=why, now=now)
        except ParkedNotOpen:
            raise ApiProblem(409, "it was replayed, discarded or superseded before") from None
        return await _after(conn, call.id)

    return await act_once(call, Deed(what="discard a parked event", subject=f"parked {call.id}", why=why), work)


async def _after(conn: Conn, parked_id: int) -> Parked:
    [row] = await parked_named(conn, [parked_id])
    return made(Parked, row)


async def retry(call: CheckedCall) -> web.Response:
    """Answers POST /api/outbox/retry."""
    key, now = call.body.key, call.desk.now()

    async def work(conn: Conn) -> Notice:
        done = await retry_dead(conn, [key], now=now)
        found = await notices_named(conn, [key])
        if not found:
            raise ApiProblem(404, "there is no notice of this key", "Take the key from /api/outbox.")
        if not done:
            raise ApiProblem(
                409, f"the notice is {found[0]['state']}, or its content is gone", "Only dead ones are retried."
            )
        return made(Notice, found[0])

    return await act_once(call, Deed(what="retry a notice", subject=key, why=call.body.reason), work)


async def bind(call: CheckedCall) -> web.Response:
    """Answers POST /api/waiting/bind: proposes it to a second person."""
    wanted, by, now = call.body, call.person.name, call.desk.now()
    content = {"account": wanted.account, "payment_ref": wanted.payment_ref, "order_ref": wanted.order_ref}
    subject = binding.subject_of(wanted.account, wanted.payment_ref)

    async def work(conn: Conn) -> Approval:
        await id_of(conn, wanted.order_ref)
        await check_waits(conn, wanted.account, wanted.payment_ref)
        told = {"content": content, "reason": wanted.reason, "by": by, "now": now}
        return made(Approval, await approvals.propose(conn, act=binding.BINDING, subject=subject, **told))

    try:
        with orders.told(), told_of_proposals("Confirm or refuse it: /api/approvals."):
            deed = Deed(what="propose to bind", subject=subject, why=wanted.reason)
            return await act_once(call, deed, work, status=202)
    except BindingRefused as refused:
        raise ApiProblem(409, str(refused), "Take account and payment_ref from /api/waiting.") from None


async def confirm(call: CheckedCall) -> web.Response:
    """Answers POST /api/approvals/{id}/confirm: does exactly what was proposed, in the names of both."""
    desk, by, now = call.desk, call.person.name, call.desk.now()

    async def work(conn: Conn) -> Decided:
        approval = await _proposed(conn, call)
        match approval.act:
            case acts.RESOLVING:
                case_id: int = approval.content["case"]
                await acts.confirm_resolution(conn, case_id, by=by, now=now, approval_id=approval.id)
            case closing_in_two.CLOSING:
                order_ref: str = approval.content["order_ref"]
                await closing_in_two.confirm_closing(conn, order_ref, approval.id, by=by, now=now)
            case deciding_in_two.DECIDING:
                account: str = approval.content["account"]
                await deciding_in_two.confirm_decision(conn, account, approval.id, by=by, now=now)
            case binding.BINDING:
                await approvals.confirm(conn, call.id, by=by, now=now)
                await bind_as_approved(conn, approval, confirmed_by=by, policy=desk.policy(), now=now)
            case _:
                raise ApiProblem(409, f"the API does not do this: {approval.act}", "Confirm it at the desk.")
        return _decided(approval, "confirmed", by)

    try:
        with cases.told(), orders.told():
            return await _decide(call, "confirm a proposal", work)
    except (BindingRefused, NotPaused) as refused:
        raise ApiProblem(409, str(refused)) from None


async def refuse(call: CheckedCall) -> web.Response:
    """Answers POST /api/approvals/{id}/refuse: one's own is withdrawn."""
    by, now = call.person.name, call.desk.now()

    async def work(conn: Conn) -> Decided:
        approval = await _proposed(conn, call)
        if approval.act == acts.RESOLVING:
            await acts.refuse_resolution(conn, approval.content["case"], by=by, now=now, approval_id=approval.id)
        else:
            await approvals.refuse(conn, call.id, by=by, now=now)
        return _decided(approval, "withdrawn" if by == approval.proposed_by else "refused", by)

    return await _decide(call, "refuse a proposal", work)


async def _proposed(conn: Conn, call: CheckedCall) -> approvals.Approval:
    """Reads an open proposal, before what it is about is locked.  Raises NotOpen."""
    found = await approvals.open_approvals(conn, now=call.desk.now(), limit=APPROVALS_MAX)
    for approval in found:
        if approval.id == call.id:
            return approval
    raise approvals.ProposalNotOpen


async def _decide(call: CheckedCall, what: str, work: Work) -> web.Response:
    deed = Deed(what=what, subject=f"proposal {call.id}", why=call.body.reason)
    try:
        return await act_once(call, deed, work)
    except approvals.MayBeSamePerson:
        says = "you and whoever proposed it may be one person: one has the company's account, the other has not"
        raise ApiProblem(409, says, "Have an admin tie the two: tillkeeper user link.") from None
    except approvals.SamePerson:
        raise ApiProblem(409, "you proposed it", "Another person of the role must confirm it.") from None
    except approvals.ProposalNotOpen:
        remedy = "See /api/approvals for what is open."
        raise ApiProblem(409, "somebody has decided, it is too old, or there never was one", remedy) from None


def _decided(approval: approvals.Approval, decision: str, by: str) -> Decided:
    return made(Decided, approval, decision=decision, decided_by=by)
