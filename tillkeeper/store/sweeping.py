"""Due orders on their way up their ladders: claimed, rungs taken, answers settled.

    take (one transaction)      claim due orders ─ write each rung ─ tell, open cases ─ say who must be asked
    (the gateways are asked outside of any transaction; what they answer is applied as any event)
    settle (one transaction)    of those that did not move: write what came of asking ─ close, or wait for the next rung

A rung's row stands before its question leaves, and says when it is put again should its sweeper die: no answer is no
answer, whoever it was lost by.  Telling and opening cases are done in the transaction that takes the rung.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from tillkeeper.domain.concerns import Concern
from tillkeeper.domain.order import MOVING, Status, is_under_way
from tillkeeper.domain.policy import Action, Done, Due, Ladder, Policy, Rung, Wait, next_rung
from tillkeeper.store.acts import Act, write_acts
from tillkeeper.store.cases import TRUTH, close_by_truth, escalate, open_cases, write_entries
from tillkeeper.store.effects import CLOSED, merchant_notice, payer_notice
from tillkeeper.store.ledger import OpenOrder, open_orders
from tillkeeper.store.pool import Conn, as_json
from tillkeeper.store.telling import Notice, tell

RETRY_FIRST: Final = timedelta(seconds=15)
RETRY_MAX: Final = timedelta(minutes=15)  # a gateway that is back is asked within this
RUNGS_MAX: Final = 20  # of one order in one pass; six actions climb at most once each


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A rung whose gateway must now be asked."""

    order: OpenOrder
    rung: Rung
    tries: int
    leased_until: datetime


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking for a rung."""

    taken: Taken
    result: str
    answered: bool  # every question had an answer, whatever it said, and it could be applied
    unapplied: tuple[str, ...] = ()  # kinds of events that could not be
    unaskable: frozenset[str] = frozenset()  # accounts


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
    """A question that had no answer, and when it is put again."""

    rung: Rung
    tries: int
    at: datetime
    cannot_be_put: bool


NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Climbed(msgspec.Struct, kw_only=True):
    """How far an order has come in its spell."""

    climbed: dict[Action, datetime] = msgspec.field(default_factory=dict)
    retry: _Retry | None = None
    answered_at: datetime = NEVER  # when the last question was put that had an answer
    refused_at: datetime = NEVER  # when the last was wanted that cannot be put at all

    @property
    def retry_at(self) -> datetime | None:
        """When a question that had no answer is put again."""
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
    orders = await open_orders(conn, ids)
    climbs = await climbs_of(conn, orders.values())
    work = _Pass(now=now, leased_until=now + lease, policy=policy)
    for it in orders.values():
        _climb(it, climbs[it.id], work)
    await _write_rungs(conn, work.rungs)
    await tell(conn, work.notices, now=now)
    await open_cases(conn, work.opening, policy=policy.cases, now=now)
    await escalate(conn, work.escalating, policy=policy.cases, now=now)
    await _write_due(conn, work.due)
    return work.asking


async def climbs_of(conn: Conn, orders: Iterable[OpenOrder]) -> dict[int, Climbed]:
    """How far each has come in its present spell."""
    orders = list(orders)
    climbs = {it.id: Climbed() for it in orders}
    for row in await conn.fetch(CLIMBED, [it.id for it in orders], [it.spell for it in orders]):
        climb, action = climbs[row["order_id"]], Action(row["action"])
        climb.climbed[action] = row["at"]
        climb.answered_at = max(climb.answered_at, row["answered_at"] or NEVER)
        climb.refused_at = max(climb.refused_at, row["refused_at"] or NEVER)
        # A question is put again only while it is the last of its kind.
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
    """Takes what is due, up to the first question; says when to look again."""
    if it.held_until is not None and it.held_until > work.now:
        _look_again(it, it.held_until, work)
        return
    if it.ask_at is not None and it.ask_at <= work.now:
        _ask(it, Rung(action=Action.QUERY, at=it.ask_at), work)
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
                _look_again(it, _after(decision, climb, it), work)
                return
    raise AssertionError(f"the ladder of order {it.id} does not end")


# While such a case is open, money may be there that does not count: nobody is asked to pay, and nothing is closed.
MONEY_UNCLEAR: Final = frozenset({"answer_not_applied", "reference_conflict", "unexpected_account", "wrong_currency"})


def _before_asking_to_pay(it: OpenOrder, rung: Rung, climb: Climbed) -> Literal["ask", "wait"] | None:
    """What comes before a payer is told who might pay then: an answer of the gateway from the rung's moment on."""
    if not _asks_to_pay(it, rung):
        return None
    if _money_is_unclear(it):
        return "wait"
    if climb.answered_at >= rung.at:
        return None
    if climb.refused_at >= rung.at:  # a failure is the gateway's own word; that nothing came is only our not knowing
        return None if rung.action is Action.GRACE else "wait"
    return "wait" if climb.retry is not None else "ask"


def _asks_to_pay(it: OpenOrder, rung: Rung) -> bool:
    if rung.action is Action.REMIND:
        return it.judge().status in AWAITED and not is_under_way(it.order, it.facts)
    return rung.action is Action.GRACE


def _money_is_unclear(it: OpenOrder) -> bool:
    return not it.case_kinds.isdisjoint(MONEY_UNCLEAR)


def _after(decision: Wait | Done, climb: Climbed, it: OpenOrder) -> datetime | None:
    """When to look next, if there is nothing to do now."""
    moments = (decision.until if isinstance(decision, Wait) else None, climb.retry_at, it.ask_at)
    return min((at for at in moments if at is not None), default=None)


def _ask(it: OpenOrder, rung: Rung, work: _Pass, *, tries: int = 1) -> None:
    work.rungs.append(_row(it, rung, work.now, tries=tries, retry_at=work.leased_until))
    work.due.append({"id": it.id, "due_at": work.leased_until, "ask_at": None if it.ask_at == rung.at else it.ask_at})
    work.asking.append(Taken(order=it, rung=rung, tries=tries, leased_until=work.leased_until))


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
            work.notices += _to_payer(it, "payer.failed", occasion=f"spell {it.spell}")
        case Action.REMIND:
            work.notices += _reminder(it, rung)
        case Action.CASE:
            work.opening.append((it.id, _stuck(it)))
        case Action.ESCALATE:
            work.escalating.append((stuck_subject(it), rung.level))
        case Action.QUERY | Action.CLOSE:
            raise AssertionError("a question is asked outside of the transaction")


def _to_payer(it: OpenOrder, topic: str, *, occasion: str, **more: object) -> list[Notice]:
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
        return _to_payer(it, UNDER_WAY[status], occasion=occasion) if status in UNDER_WAY else []
    due = it.next_instalment()
    if due is not None and status is not Status.FAILED:
        return _to_payer(it, "payer.instalment_due", occasion=occasion, due_at=due.due_at, due_amount=due.amount)
    return _to_payer(it, "payer.reminder", occasion=occasion)


def _stuck(it: OpenOrder) -> Concern:
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


async def _write_due(conn: Conn, due: Sequence[Mapping[str, object]]) -> None:
    if due:
        await conn.execute(SET_DUE, as_json(due))


RESULTS = """
UPDATE rung AS r SET result = w.result, retry_at = w.retry_at
FROM json_populate_recordset(NULL::rung, $1::json) AS w
WHERE r.order_id = w.order_id AND r.spell = w.spell AND r.action = w.action AND r.at = w.at
"""


async def settle(conn: Conn, settled: Sequence[Settled], *, policy: Policy, now: datetime) -> int:
    """Writes what came of asking, once the answers are applied; returns how many orders it closed.

    An order that moved meanwhile climbs another ladder, and one whose lease ran out is another sweeper's: of those
    only the results are written.
    """
    if not settled:
        return 0
    orders = await open_orders(conn, {it.taken.order.id for it in settled})
    await conn.execute(RESULTS, as_json([_result_row(it, now) for it in settled]))
    await _mind_unapplied(conn, [(orders[it.taken.order.id], it) for it in settled], policy, now)
    mine = [
        (orders[it.taken.order.id], it)
        for it in settled
        if orders[it.taken.order.id].spell == it.taken.order.spell
        and orders[it.taken.order.id].due_at == it.taken.leased_until
    ]
    expired = [(order, it) for order, it in mine if it.taken.rung.action is Action.CLOSE and _is_idle(order)]
    closing = [order for order, it in expired if it.answered and not _money_is_unclear(order)]
    doubts = [doubt for order, it in expired if order not in closing for doubt in _doubts(order, it)]
    await _close(conn, closing, now)
    await open_cases(conn, doubts, policy=policy.cases, now=now)
    await _mind_askable(conn, [order for order, it in expired if it.answered], now)
    climbs = await climbs_of(conn, [order for order, _ in mine])
    due = []
    for order, _ in mine:
        if order not in closing:
            climb = climbs[order.id]
            at = _next_look(order, climb, policy, now)
            due.append({"id": order.id, "due_at": at, "ask_at": order.ask_at})
    await _write_due(conn, due)
    return len(closing)


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
    return Concern(kind=UNAPPLIED, subject=f"order:{it.order.order_ref}", details={"answers": list(settled.unapplied)})


def _next_look(it: OpenOrder, climb: Climbed, policy: Policy, now: datetime) -> datetime | None:
    decision = next_rung(ladder_of(it, climb, policy), it.standing(climb.climbed), now)
    return now if isinstance(decision, Due) else _after(decision, climb, it)


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
    return now + min(RETRY_MAX, RETRY_FIRST * (1 << min(it.taken.tries - 1, 10)))


CANNOT_ASK: Final = "cannot be asked"  # asking again would change nothing
UNASKABLE_REST: Final = timedelta(
    hours=24
)  # then an expired order is looked at again: its account may have keys by now


def _is_idle(it: OpenOrder) -> bool:
    """No money is there or on its way, as far as anybody knows."""
    return it.judge().status in (Status.UNPAID, Status.FAILED) and it.closed_at is None


# Money that is moving is still looked after.
CLOSE_ORDERS = """
UPDATE orders
SET closed_at = $2, due_at = CASE WHEN status IN ('processing', 'refunding') THEN $2::timestamptz END, ask_at = NULL,
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
    notices += [told for it in closing for told in _to_payer(it, "payer.expired", occasion=f"spell {it.spell}")]
    await tell(conn, notices, now=now)
    still = [concern for it in closing for concern in it.concerns()]
    still += [_stuck(it) for it in closing if it.judge().status in MOVING]
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
        "why": "it is not clear whose its money is" if settled.answered else settled.result,
    }
    return [(it.id, Concern(kind=DOUBT, subject=f"order:{it.order.order_ref}", details=details))]


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
