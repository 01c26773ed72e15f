"""What comes of asking about orders that were due: results of rungs, closings, and doubts that keep an order open."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.backoff import ORDER_QUERY
from tillkeeper.domain.concerns import Concern
from tillkeeper.domain.order import MOVING, Status
from tillkeeper.domain.policy import Action, Due, Policy, next_rung
from tillkeeper.store.acts import Act, write_acts
from tillkeeper.store.cases import TRUTH, close_by_truth, open_cases, write_entries
from tillkeeper.store.effects import CLOSED, merchant_notice
from tillkeeper.store.ledger import OpenOrder
from tillkeeper.store.pool import Conn, as_json
from tillkeeper.store.sweeping import (
    Climbed,
    Taken,
    after,
    climbs_of,
    ladder_of,
    money_is_unclear,
    open_with_parked,
    stuck,
    to_payer,
    write_due,
)
from tillkeeper.store.telling import tell


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking for a rung."""

    taken: Taken
    result: str
    answered: bool  # every query had an answer, whatever it said, and it could be applied
    unapplied: tuple[str, ...] = ()  # kinds of events that could not be
    unaskable: frozenset[str] = frozenset()  # accounts


RESULTS = """
UPDATE rung AS r SET result = w.result, retry_at = w.retry_at
FROM json_populate_recordset(NULL::rung, $1::json) AS w
WHERE r.order_id = w.order_id AND r.spell = w.spell AND r.action = w.action AND r.at = w.at
"""


async def settle(conn: Conn, settled: Sequence[Settled], *, policy: Policy, now: datetime) -> int:
    """Writes what came of asking, once the answers are applied; returns how many orders it closed.

    An order that moved meanwhile climbs another ladder, and one whose lease ran out is another sweeper's: of those
    only the results are written, and that a wish is fulfilled.
    """
    if not settled:
        return 0
    orders = await open_with_parked(conn, {it.taken.order.id for it in settled})
    await conn.execute(RESULTS, as_json([_result_row(it, now) for it in settled]))
    pairs = [(orders[it.taken.order.id], it) for it in settled]
    await _mind_unapplied(conn, pairs, policy, now)
    leased = [(order, it) for order, it in pairs if order.due_at == it.taken.leased_until]
    wished = [(order, it) for order, it in pairs if order.ask_at == it.taken.leased_until]
    for order, it in wished:
        order.ask_at = None if it.result == CANNOT_ASK else _retry_at(it, now)
    mine = [(order, it) for order, it in leased if order.spell == it.taken.order.spell]
    expired = [(order, it) for order, it in mine if it.taken.rung.action is Action.CLOSE and _is_idle(order)]
    closing = [order for order, it in expired if it.answered and not money_is_unclear(order)]
    doubts = [doubt for order, it in expired if order not in closing for doubt in _doubts(order, it)]
    await _close(conn, closing, now)
    await open_cases(conn, doubts, policy=policy.cases, now=now)
    await _mind_askable(conn, [order for order, it in expired if it.answered], now)
    looked_at = {order.id: order for order, _ in (*mine, *wished) if order not in closing}
    await _look_again(conn, looked_at.values(), {order.id for order, _ in leased}, policy, now)
    return len(closing)


async def _look_again(
    conn: Conn, looked_at: Collection[OpenOrder], leased: Collection[int], policy: Policy, now: datetime
) -> None:
    """When each is looked at next; one that is not leased any more has its moment already."""
    climbs = await climbs_of(conn, looked_at)
    due: list[dict[str, object]] = []
    for order in looked_at:
        at = _next_look(order, climbs[order.id], policy, now) if order.id in leased else order.due_at
        due.append({"id": order.id, "due_at": at, "ask_at": order.ask_at})
    await write_due(conn, due)


UNAPPLIED: Final = "answer_not_applied"


async def _mind_unapplied(
    conn: Conn, settled: Sequence[tuple[OpenOrder, Settled]], policy: Policy, now: datetime
) -> None:
    """What a gateway said and the database refuses is seen by a person, until an answer can be applied."""
    unapplied = [(order.id, _unapplied(order, it)) for order, it in settled if it.unapplied]
    await open_cases(conn, unapplied, policy=policy.cases, now=now)
    applied = [order.id for order, it in settled if it.answered and UNAPPLIED in order.case_kinds]
    await close_by_truth(conn, applied, [], kinds=(UNAPPLIED,), now=now)


def _unapplied(it: OpenOrder, settled: Settled) -> Concern:
    # The answer itself may hold what the database refuses: its kinds do not.
    details: dict[str, object] = {"answers": list(settled.unapplied)}
    state = " ".join(sorted(set(settled.unapplied)))
    return Concern(kind=UNAPPLIED, subject=f"order:{it.order.order_ref}", state=state, details=details)


def _next_look(it: OpenOrder, climb: Climbed, policy: Policy, now: datetime) -> datetime | None:
    decision = next_rung(ladder_of(it, climb, policy), it.standing(climb.climbed), now)
    return now if isinstance(decision, Due) else after(decision, climb, it)


def _result_row(it: Settled, now: datetime) -> dict[str, object]:
    taken = it.taken
    return {
        "order_id": taken.order.id,
        "spell": taken.order.spell,
        "action": taken.rung.action,
        "at": taken.rung.at,
        "result": it.result,
        "retry_at": _retry_at(it, now),
    }


def _retry_at(it: Settled, now: datetime) -> datetime | None:
    if it.answered:
        return None
    if it.result == CANNOT_ASK:
        return now + UNASKABLE_REST if it.taken.rung.action is Action.CLOSE else None
    return now + ORDER_QUERY.pause(it.taken.tries)


CANNOT_ASK: Final = "cannot be asked"  # asking again would change nothing
UNASKABLE_REST: Final = timedelta(hours=24)  # then an expired order is looked at again: there may be keys by now


def _is_idle(it: OpenOrder) -> bool:
    """No money is there or on its way, as far as anybody knows."""
    return it.judge().status in (Status.UNPAID, Status.FAILED) and it.closed_at is None


# Due at once: the sweep finds out for itself when it looks for late money, and looks after what is moving.
CLOSE_ORDERS = """
UPDATE orders
SET closed_at = $2, due_at = $2, ask_at = NULL,
    version = version + 1, changed_at = $2
WHERE id = ANY($1::bigint[])
"""


async def _close(conn: Conn, closing: Sequence[OpenOrder], now: datetime) -> None:
    if not closing:
        return
    await close_orders(
        conn, closing, by="policy", note="it expired, and its gateways know of no payment under way", now=now
    )


async def close_orders(conn: Conn, closing: Sequence[OpenOrder], *, by: str, note: str, now: datetime) -> None:
    """Expects no payment for these locked orders any more, and says so to whom it concerns."""
    for it in closing:
        it.closed_at = now
    await conn.execute(CLOSE_ORDERS, [it.id for it in closing], now)
    await write_acts(conn, [Act(order_id=it.id, what="close", by=by, note=note, at=now) for it in closing])
    notices = [merchant_notice(it, CLOSED) for it in closing]
    notices += [told for it in closing for told in to_payer(it, "payer.expired", occasion=f"spell {it.spell}")]
    await tell(conn, notices, now=now)
    still = [concern for it in closing for concern in it.concerns()]
    still += [stuck(it) for it in closing if it.judge().status in MOVING]
    await close_by_truth(conn, [it.id for it in closing], still, now=now)


DOUBT: Final = "close_in_doubt"


def _doubts(it: OpenOrder, settled: Settled) -> list[tuple[int | None, Concern]]:
    """Why an expired order cannot be closed.  Where nobody can ask, that is the account's case and not each order's."""
    if settled.result == CANNOT_ASK:
        why: dict[str, object] = {"why": CANNOT_ASK, "first": it.order.order_ref}
        return [
            (None, Concern(kind=DOUBT, subject=_account_subject(account), account=account, details=why))
            for account in sorted(settled.unaskable)
        ]
    details: dict[str, object] = {
        "status": it.judge().status,
        "expired_at": it.expires_at and it.expires_at.isoformat(),
        "why": _why_in_doubt(it) if settled.answered else settled.result,
    }
    return [(it.id, Concern(kind=DOUBT, subject=f"order:{it.order.order_ref}", details=details))]


def _why_in_doubt(it: OpenOrder) -> str:
    return "an event of it is parked" if it.has_parked else "it is not clear whose its money is"


def _account_subject(account: str) -> str:
    return f"account:{account}"


CLOSE_ASKABLE = """
UPDATE cases SET closed_at = $2, closed_by = 'truth', outcome = 'it can be asked', follow_up_at = NULL
WHERE kind = 'close_in_doubt' AND subject = ANY($1::text[]) AND closed_at IS NULL
RETURNING id
"""


async def _mind_askable(conn: Conn, answered: Sequence[OpenOrder], now: datetime) -> None:
    """Closes the cases of accounts that could not be asked."""
    if subjects := sorted({_account_subject(account) for it in answered for account in it.order.accounts}):
        rows = await conn.fetch(CLOSE_ASKABLE, subjects, now)
        await write_entries(conn, [(row["id"], "closed", TRUTH, None) for row in rows], now=now)
