"""Due orders on their way up their ladders: claimed, rungs taken, answers settled.

    take (one transaction)      claim due orders ─ write each rung ─ tell, open cases ─ say who must be asked
    (the gateways are asked outside of any transaction; what they answer is applied as any event)
    settle (one transaction)    store/settling.py: write what came of asking ─ close, or wait for the next rung

A rung's row stands before its query leaves, and says when it is put again should its sweeper die: no answer is no
answer, whoever it was lost by.  Telling and opening cases are done in the transaction that takes the rung.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from tillkeeper.domain.concerns import Concern
from tillkeeper.domain.order import MOVING, Status, is_under_way
from tillkeeper.domain.policy import Action, Done, Due, Ladder, Policy, Rung, Wait, next_rung
from tillkeeper.store.cases import MONEY_UNCLEAR, escalate, open_cases
from tillkeeper.store.effects import payer_notice
from tillkeeper.store.ledger import OpenOrder, open_orders
from tillkeeper.store.parked import parked_of
from tillkeeper.store.pool import Conn, as_json
from tillkeeper.store.telling import Notice, tell

RUNGS_MAX: Final = 20  # of one order in one pass; six actions climb at most once each


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A rung whose gateway must now be asked."""

    order: OpenOrder
    rung: Rung
    tries: int
    leased_until: datetime


CLAIM = """
SELECT id FROM orders WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
"""

CLIMBED = """
SELECT r.order_id, r.action, max(r.at) AS at, max(r.tries) FILTER (WHERE r.retry_at IS NOT NULL) AS tries,
       max(r.at) FILTER (WHERE r.retry_at IS NOT NULL) AS asked_at, max(r.retry_at) AS retry_at,
       max(r.taken_at) FILTER (WHERE r.action IN ('query', 'close') AND r.retry_at IS NULL
                               AND r.result <> 'cannot be asked') AS answered_at,
       max(r.taken_at) FILTER (WHERE r.result = 'cannot be asked') AS refused_at,
       bool_or(r.result = 'cannot be asked' AND r.retry_at IS NOT NULL) AS cannot_be_put
FROM unnest($1::bigint[], $2::bigint[]) AS w (order_id, spell)
JOIN rung r ON r.order_id = w.order_id AND r.spell = w.spell
GROUP BY 1, 2
"""


class _Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A query that had no answer, and when it is put again."""

    rung: Rung
    tries: int
    at: datetime
    cannot_be_put: bool


NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Climbed(msgspec.Struct, kw_only=True):
    """How far an order has come in its spell."""

    climbed: dict[Action, datetime] = msgspec.field(default_factory=dict)
    retry: _Retry | None = None
    answered_at: datetime = NEVER  # when the last query was put that had an answer
    refused_at: datetime = NEVER  # when the last was wanted that cannot be put at all

    @property
    def retry_at(self) -> datetime | None:
        """When a query that had no answer is put again."""
        return self.retry.at if self.retry else None


class _Pass(msgspec.Struct, kw_only=True):
    """What one pass writes."""

    now: datetime
    leased_until: datetime
    policy: Policy
    rungs: list[dict[str, object]] = msgspec.field(default_factory=list)
    due: list[dict[str, object]] = msgspec.field(default_factory=list)
    notices: list[Notice] = msgspec.field(default_factory=list)
    opening: list[tuple[int | None, Concern]] = msgspec.field(default_factory=list)
    escalating: list[tuple[str, int]] = msgspec.field(default_factory=list)
    asking: list[Taken] = msgspec.field(default_factory=list)


async def take_due(
    conn: Conn, *, policy: Policy, limit: int, lease: timedelta, now: datetime
) -> tuple[int, list[Taken]]:
    """Climbs with up to `limit` due orders, in the caller's transaction.

    Returns how many there were, and the rungs for which gateways must be asked once it is committed.  Should their
    sweeper die, the orders go on after `lease`.
    """
    ids = [row["id"] for row in await conn.fetch(CLAIM, now, limit)]
    return len(ids), await _take(conn, ids, policy=policy, lease=lease, now=now)


CLAIM_ONE = "SELECT id FROM orders WHERE id = $1 AND due_at <= $2 FOR NO KEY UPDATE SKIP LOCKED"


async def take_one(conn: Conn, order_id: int, *, policy: Policy, lease: timedelta, now: datetime) -> list[Taken]:
    """Climbs with one order, if it is due and nobody holds it."""
    ids = [row["id"] for row in await conn.fetch(CLAIM_ONE, order_id, now)]
    return await _take(conn, ids, policy=policy, lease=lease, now=now)


DUE_NOW = "SELECT id FROM orders WHERE due_at <= $1 ORDER BY due_at LIMIT $2"


async def due_now(conn: Conn, *, limit: int, now: datetime) -> list[int]:
    """The orders that are due, without claiming them."""
    return [row["id"] for row in await conn.fetch(DUE_NOW, now, limit)]


SET_ASIDE = "UPDATE orders SET due_at = $2 WHERE id = $1 AND due_at IS NOT NULL"


async def set_aside(conn: Conn, order_id: int, *, until: datetime) -> None:
    """Has an order that no sweep can climb with wait, so that it holds up no other."""
    await conn.execute(SET_ASIDE, order_id, until)


async def _take(conn: Conn, ids: Sequence[int], *, policy: Policy, lease: timedelta, now: datetime) -> list[Taken]:
    if not ids:
        return []
    orders = await open_with_parked(conn, ids)
    climbs = await climbs_of(conn, orders.values())
    work = _Pass(now=now, leased_until=now + lease, policy=policy)
    for it in orders.values():
        _climb(it, climbs[it.id], work)
    await _write_rungs(conn, work.rungs)
    await tell(conn, work.notices, now=now)
    await open_cases(conn, work.opening, policy=policy.cases, now=now)
    await escalate(conn, work.escalating, policy=policy.cases, now=now)
    await write_due(conn, work.due)
    return work.asking


async def open_with_parked(conn: Conn, ids: Collection[int]) -> dict[int, OpenOrder]:
    """Locks and reads the orders, and says of which of them an event is parked."""
    orders = await open_orders(conn, ids)
    for order_id in await parked_of(conn, orders):
        orders[order_id].has_parked = True
    return orders


async def climbs_of(conn: Conn, orders: Iterable[OpenOrder]) -> dict[int, Climbed]:
    """How far each has come in its present spell."""
    orders = list(orders)
    climbs = {it.id: Climbed() for it in orders}
    for row in await conn.fetch(CLIMBED, [it.id for it in orders], [it.spell for it in orders]):
        climb, action = climbs[row["order_id"]], Action(row["action"])
        climb.climbed[action] = row["at"]
        climb.answered_at = max(climb.answered_at, row["answered_at"] or NEVER)
        climb.refused_at = max(climb.refused_at, row["refused_at"] or NEVER)
        # A query is put again only while it is the last of its kind.
        is_open = row["retry_at"] is not None and row["asked_at"] == row["at"]
        if is_open and (climb.retry is None or climb.retry.rung.at < row["at"]):
            climb.retry = _Retry(
                rung=Rung(action=action, at=row["at"]),
                tries=row["tries"],
                at=row["retry_at"],
                cannot_be_put=row["cannot_be_put"],
            )
    return climbs


def ladder_of(it: OpenOrder, climb: Climbed, policy: Policy) -> Ladder:
    """Its ladder.  A closing that nobody can ask for is put again by itself, in the place of all later ones."""
    ladder = it.ladder(policy)
    if climb.retry is None or not climb.retry.cannot_be_put:
        return ladder
    return Ladder(climbs=tuple(each for each in ladder.climbs if each.action is not Action.CLOSE))


def _climb(it: OpenOrder, climb: Climbed, work: _Pass) -> None:
    """Takes what is due, up to the first query; says when to look again."""
    if it.held_until is not None and it.held_until > work.now:
        _look_again(it, it.held_until, work)
        return
    if it.ask_at is not None and it.ask_at <= work.now:
        _ask_as_wished(it, it.ask_at, climb, work)
        return
    for _ in range(RUNGS_MAX):
        match next_rung(ladder_of(it, climb, work.policy), it.standing(climb.climbed), work.now):
            case Due(rung=rung) if rung.action in (Action.QUERY, Action.CLOSE):
                _ask(it, rung, work)
                return
            case Due(rung=rung) if (first := _before_asking_to_pay(it, rung, climb)) == "ask":
                _ask(it, Rung(action=Action.QUERY, at=rung.at), work)
                return
            case Due(rung=rung) if first == "wait":
                climb.climbed[rung.action] = rung.at  # in this pass alone
            case Due(rung=rung):
                work.rungs.append(_row(it, rung, work.now, result="done"))
                climb.climbed[rung.action] = rung.at
                _do(it, rung, work)
            case Wait() | Done() if climb.retry is not None and climb.retry.at <= work.now:
                _ask(it, climb.retry.rung, work, tries=climb.retry.tries + 1)
                return
            case Wait() | Done() as decision:
                _look_again(it, after(decision, climb, it), work)
                return
    raise AssertionError(f"the ladder of order {it.id} does not end")


def _before_asking_to_pay(it: OpenOrder, rung: Rung, climb: Climbed) -> Literal["ask", "wait"] | None:
    """What comes before a payer is told who might pay then: an answer of the gateway from the rung's moment on."""
    if not _asks_to_pay(it, rung):
        return None
    if money_is_unclear(it):
        return "wait"
    if climb.answered_at >= rung.at:
        return None
    if climb.refused_at >= rung.at:  # a failure is the gateway's own word; that nothing came is only our not knowing
        return None if rung.action is Action.GRACE else "wait"
    return "wait" if climb.retry is not None else "ask"


def _asks_to_pay(it: OpenOrder, rung: Rung) -> bool:
    if rung.action is Action.REMIND:
        is_due = it.next_instalment() is not None if it.instalments else it.remaining > 0
        return it.judge().status in AWAITED and is_due and not is_under_way(it.order, it.facts)
    return rung.action is Action.GRACE


def money_is_unclear(it: OpenOrder) -> bool:
    """Whether an open case says so, or an event of it is parked.

    Money may be there that does not count: nobody is asked to pay, and nothing is closed.
    """
    return it.has_parked or not it.case_kinds.isdisjoint(MONEY_UNCLEAR)


def after(decision: Wait | Done, climb: Climbed, it: OpenOrder) -> datetime | None:
    """When to look next, if there is nothing to do now."""
    moments = (decision.until if isinstance(decision, Wait) else None, climb.retry_at, it.ask_at)
    return min((at for at in moments if at is not None), default=None)


def _ask(it: OpenOrder, rung: Rung, work: _Pass, *, tries: int = 1) -> None:
    work.rungs.append(_row(it, rung, work.now, tries=tries, retry_at=work.leased_until))
    work.due.append({"id": it.id, "due_at": work.leased_until, "ask_at": it.ask_at})
    work.asking.append(Taken(order=it, rung=rung, tries=tries, leased_until=work.leased_until))


def _ask_as_wished(it: OpenOrder, at: datetime, climb: Climbed, work: _Pass) -> None:
    """Asks because somebody wants it.  The wish stands until it is answered, whatever moves the order meanwhile."""
    it.ask_at = work.leased_until
    if climb.retry is not None and climb.retry.at <= work.now:
        _ask(it, climb.retry.rung, work, tries=climb.retry.tries + 1)
    else:
        _ask(it, Rung(action=Action.QUERY, at=at), work)


def _look_again(it: OpenOrder, due_at: datetime | None, work: _Pass) -> None:
    work.due.append({"id": it.id, "due_at": due_at, "ask_at": it.ask_at})


def _row(
    it: OpenOrder,
    rung: Rung,
    now: datetime,
    *,
    tries: int = 1,
    retry_at: datetime | None = None,
    result: str | None = None,
) -> dict[str, object]:
    return {
        "order_id": it.id,
        "spell": it.spell,
        "action": rung.action,
        "at": rung.at,
        "taken_at": now,
        "tries": tries,
        "retry_at": retry_at,
        "result": result,
    }


def stuck_subject(it: OpenOrder) -> str:
    """How the case of a spell is named."""
    return f"order:{it.order.order_ref}/spell:{it.spell}"


def _do(it: OpenOrder, rung: Rung, work: _Pass) -> None:
    """The effect of a rung that asks nobody."""
    match rung.action:
        case Action.GRACE:
            work.notices += to_payer(it, "payer.failed", occasion=f"spell {it.spell}")
        case Action.REMIND:
            work.notices += _reminder(it, rung)
        case Action.CASE:
            work.opening.append((it.id, stuck(it)))
        case Action.ESCALATE:
            work.escalating.append((stuck_subject(it), rung.level))
        case Action.QUERY | Action.CLOSE:
            raise AssertionError("a question is asked outside of the transaction")


def to_payer(it: OpenOrder, topic: str, *, occasion: str, **more: object) -> list[Notice]:
    """What its payer is told, if there is an address to tell it to."""
    return [payer_notice(it, topic, occasion=occasion, **more)] if it.has_mail else []


AWAITED: Final = frozenset({Status.UNPAID, Status.FAILED, Status.PARTIALLY_PAID})  # the payer is asked for money
UNDER_WAY: Final[Mapping[Status, str]] = {
    Status.PARTIALLY_PAID: "payer.processing",  # the next part of it
    Status.PROCESSING: "payer.processing",
    Status.REFUNDING: "payer.refunding",
}


def _reminder(it: OpenOrder, rung: Rung) -> list[Notice]:
    # By its number: the same reminder at another moment, as a changed policy has it, is not told again.
    occasion = f"spell {it.spell} no {rung.level}"
    status = it.judge().status
    if not _asks_to_pay(it, rung):
        # What is merely held comes when the merchant takes it: that is nothing to write about.
        is_moving = status in MOVING or is_under_way(it.order, it.facts)
        return to_payer(it, UNDER_WAY[status], occasion=occasion) if status in UNDER_WAY and is_moving else []
    due = it.next_instalment()
    if due is not None and status is not Status.FAILED:
        return to_payer(it, "payer.instalment_due", occasion=occasion, due_at=due.due_at, due_amount=due.amount)
    return to_payer(it, "payer.reminder", occasion=occasion)


def stuck(it: OpenOrder) -> Concern:
    """The case that a ladder opens for it."""
    summary = it.judge()
    return Concern(
        kind="stuck",
        subject=stuck_subject(it),
        details={
            "status": summary.status,
            "since": it.spell_since.isoformat(),
            "amount": it.order.amount,
            "paid": summary.captured,
            "refunding": summary.refunding,
            "currency": it.order.currency,
        },
    )


TAKE_RUNGS = """
INSERT INTO rung AS r (order_id, spell, action, at, taken_at, tries, retry_at, result)
SELECT order_id, spell, action, at, taken_at, tries, retry_at, result FROM json_populate_recordset(NULL::rung, $1::json)
ON CONFLICT (order_id, spell, action, at) DO UPDATE
SET tries = excluded.tries, taken_at = excluded.taken_at, retry_at = excluded.retry_at WHERE r.retry_at IS NOT NULL
"""


async def _write_rungs(conn: Conn, rungs: Sequence[Mapping[str, object]]) -> None:
    if rungs:
        await conn.execute(TAKE_RUNGS, as_json(rungs))


SET_DUE = """
UPDATE orders AS o SET due_at = w.due_at, ask_at = w.ask_at
FROM json_populate_recordset(NULL::orders, $1::json) AS w
WHERE o.id = w.id
"""


async def write_due(conn: Conn, due: Sequence[Mapping[str, object]]) -> None:
    """Says when each order is looked at next: rows of id, due_at, ask_at."""
    if due:
        await conn.execute(SET_DUE, as_json(due))
