"""Reads what waits for people beside cases: parked events, refused deliveries, money without an order, notices."""

from typing import Any, Final

import msgspec

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.cursors import cursor_for
from tillkeeper.desk.api.reads.converting import made, page_of
from tillkeeper.desk.api.types import queues as types
from tillkeeper.desk.api.types.common import Page
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.likely_orders import LIKENESS_WORDS
from tillkeeper.recovery.parked import ParkedAct, preview
from tillkeeper.store.deliveries.parked import list_parked, parked_named
from tillkeeper.store.deliveries.refused import RefusedDelivery, list_refused, show_refused
from tillkeeper.store.people.approvals import open_approvals
from tillkeeper.store.reports.outbox import NoticePlace, list_unsent
from tillkeeper.store.search.waiting import LikelyOrder, WaitingPayment, WaitingPlace, show_waiting, waiting_part

PARKED: Final = "parked"
REFUSED: Final = "refused"
WAITING: Final = "waiting"
OUTBOX: Final = "outbox"
APPROVALS_MAX: Final = 200  # open ones: more are not waited for by anybody


class Number(msgspec.Struct, frozen=True):
    """A place in a list that is sorted by number."""

    id: int


async def parked(call: CheckedCall) -> Page[types.Parked]:
    """Answers GET /api/parked."""
    wanted, after = call.query, call.after(PARKED, Number)
    async with call.desk.pool.acquire() as conn:
        rows = await list_parked(
            conn,
            closed_too=wanted.closed is not None,
            limit=wanted.limit + 1,
            after=after.id if after else 0,
            account=wanted.account,
            reason=wanted.reason,
        )
    return page_of(
        rows, wanted.limit, PARKED, place=lambda row: Number(row["id"]), row=lambda row: made(types.Parked, row)
    )


def nothing_parked() -> ApiProblem:
    """Returns the problem of a number that nothing was parked under."""
    return ApiProblem(404, "nothing was parked under this number", "Take the number from /api/parked or /api/find?q=.")


async def one_parked(call: CheckedCall) -> types.Parked:
    """Answers GET /api/parked/{id}."""
    async with call.desk.pool.acquire() as conn:
        rows = await parked_named(conn, [call.id])
    if not rows:
        raise nothing_parked()
    return made(types.Parked, rows[0])


async def previewed(call: CheckedCall) -> types.Preview:
    """Answers GET /api/parked/{id}/preview."""
    await one_parked(call)
    desk, act = call.desk, ParkedAct(by=call.person.name, note="")
    [told] = await preview(desk.pool, [call.id], act, desk.policy(), EnvelopeKeys(desk.settings.envelope_keys))
    effects: dict[str, Any] = told.get("effects") or {"events": [], "cases": [], "notices": {}}
    events = [made(types.Effect, event) for event in effects["events"]]
    return made(types.Preview, told, events=events, cases=effects["cases"], notices=effects["notices"])


async def refused(call: CheckedCall) -> Page[types.Refused]:
    """Answers GET /api/refused."""
    wanted, after = call.query, call.after(REFUSED, Number)
    async with call.desk.pool.acquire() as conn:
        rows = await list_refused(
            conn, wanted.account, wanted.finding, limit=wanted.limit + 1, before=after.id if after else None
        )
    return page_of(rows, wanted.limit, REFUSED, place=_number, row=lambda row: made(types.Refused, row))


def _number(row: RefusedDelivery) -> Number:
    return Number(row.id)


async def one_refused(call: CheckedCall) -> types.Refused:
    """Answers GET /api/refused/{id}."""
    async with call.desk.pool.acquire() as conn:
        found = await show_refused(conn, call.id)
    if found is None:
        raise ApiProblem(
            404, "no refused delivery of this number is kept any more", "Take the number from /api/refused."
        )
    return made(types.Refused, found)


async def waiting(call: CheckedCall) -> Page[types.Waiting]:
    """Answers GET /api/waiting."""
    async with call.desk.pool.acquire() as conn:
        part = await waiting_part(conn, limit=call.query.limit, after=call.after(WAITING, WaitingPlace))
    items = [_waiting(each) for each in part.payments]
    return Page(items=items, next=None if part.ends_at is None else cursor_for(WAITING, part.ends_at))


async def one_waiting(call: CheckedCall) -> types.Waiting:
    """Answers GET /api/waiting/{account}/{payment_ref}."""
    async with call.desk.pool.acquire() as conn:
        found = await show_waiting(conn, call.parts["account"], call.parts["payment_ref"])
    if found is None:
        raise ApiProblem(404, "no such payment waits for an order", "Take account and payment_ref from /api/waiting.")
    return _waiting(found)


def _waiting(payment: WaitingPayment) -> types.Waiting:
    return made(types.Waiting, payment, likely=[_likely(order) for order in payment.likely])


def _likely(order: LikelyOrder) -> types.LikelyOrder:
    reasons = order.match.reasons
    return made(types.LikelyOrder, order, why=reasons, says=[LIKENESS_WORDS[reason] for reason in reasons])


async def approvals(call: CheckedCall) -> list[types.Approval]:
    """Answers GET /api/approvals."""
    async with call.desk.pool.acquire() as conn:
        found = await open_approvals(conn, now=call.desk.now(), limit=APPROVALS_MAX)
    return [made(types.Approval, each) for each in found]


async def outbox(call: CheckedCall) -> Page[types.Notice]:
    """Answers GET /api/outbox."""
    wanted = call.query
    async with call.desk.pool.acquire() as conn:
        rows = await list_unsent(
            conn,
            wanted.state,
            audience=wanted.audience,
            limit=wanted.limit + 1,
            after=call.after(f"{OUTBOX} {wanted.state}", NoticePlace),
        )
    name = f"{OUTBOX} {wanted.state}"
    return page_of(rows, wanted.limit, name, place=_place, row=lambda row: made(types.Notice, row))


def _place(row: dict[str, Any]) -> NoticePlace:
    return NoticePlace(at=row["finished_at"] or row["due_at"], key=row["key"])
