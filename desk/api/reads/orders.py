"""Reads orders: as they stand, what happened, and what to say to a customer who says they paid."""

from typing import Any, Final

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.cursors import cursor_for
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types.common import Page
from tillkeeper.desk.api.types.orders import Claim, ClaimEvidence, PossibleMoney, StuckOrder
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.live.snapshot import STUCK_AFTER
from tillkeeper.domain import payment_claim
from tillkeeper.domain.claim_words import SIGN_WORDS, headline, say
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.askable import unaskable_by_order
from tillkeeper.store.reports import order as order_report
from tillkeeper.store.reports.order_as_of import NotRegisteredYet, OrderAsOf, read_as_of
from tillkeeper.store.reports.stuck import FROM_THE_BEGINNING, STUCK, StuckFilter, StuckPlace, stuck_part
from tillkeeper.store.search.claim import read_claim

STUCK_LIST: Final = "stuck"


def no_such_order() -> ApiProblem:
    """Returns the problem of an order that nobody registered."""
    return ApiProblem(
        404, "no such order is registered", "Look for it by /api/find?q=, or register it (docs/orders-api.md)."
    )


async def show(call: CheckedCall) -> dict[str, Any]:
    """Answers GET /api/orders/{order_ref}."""
    found = await order_report.show(call.desk.pool, call.order_ref)
    if found is None:
        raise no_such_order()
    return found


async def history(call: CheckedCall) -> list[dict[str, Any]]:
    """Answers GET /api/orders/{order_ref}/history."""
    found = await order_report.history(call.desk.pool, call.order_ref)
    if found is None:
        raise no_such_order()
    return found


async def explain(call: CheckedCall) -> OrderAsOf:
    """Answers GET /api/orders/{order_ref}/explain."""
    try:
        found = await read_as_of(call.desk.pool, call.order_ref, call.query.at or call.desk.now())
    except NotRegisteredYet as error:
        raise ApiProblem(
            409, f"at: nobody had registered the order by then; {error}", "Ask for a later moment."
        ) from None
    if found is None:
        raise no_such_order()
    return found


async def claim(call: CheckedCall) -> Claim:
    """Answers GET /api/orders/{order_ref}/claim."""
    desk, now = call.desk, call.desk.now()
    known = await read_claim(desk.pool, call.order_ref, now=now)
    if known is None:
        raise no_such_order()
    known = known.besides(unaskable_by_order(desk.settings.accounts, known.order.order, now=now))
    found = payment_claim.answer(known)
    return made(
        Claim,
        found,
        order=known.order.view(),
        headline=headline(found),
        because=[_evidence(each) for each in found.because],
        besides=[_evidence(each) for each in found.besides],
        possible=[_possible(each) for each in known.possible],
        tell_the_customer=say(known.order, found),
    )


def _evidence(told: payment_claim.ClaimEvidence) -> ClaimEvidence:
    return made(ClaimEvidence, told, says=SIGN_WORDS[told.sign])


def _possible(each: payment_claim.PossibleMoney) -> PossibleMoney:
    return made(PossibleMoney, each.money, seen_at=each.seen_at, why=each.match.reasons)


async def stuck(call: CheckedCall) -> Page[StuckOrder]:
    """Answers GET /api/stuck."""
    desk, wanted, now = call.desk, call.query, call.desk.now()
    statuses = STUCK if wanted.status is None else (Status(wanted.status),)
    part = await stuck_part(
        desk.pool,
        StuckFilter(until=now - STUCK_AFTER, account=wanted.account, statuses=statuses),
        policy=desk.policy(),
        limit=wanted.limit,
        now=now,
        after=call.after(STUCK_LIST, StuckPlace) or FROM_THE_BEGINNING,
    )
    return Page(
        items=[made(StuckOrder, order) for order in part.orders],
        next=None if part.ends_at is None else cursor_for(STUCK_LIST, part.ends_at),
    )
