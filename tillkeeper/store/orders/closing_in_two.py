"""Closes an order although money may be there or on its way: one person proposes it, and another confirms.

The proposal names what stood against closing.  Whatever is new since then nobody has looked at: it is not closed.
"""

from datetime import datetime
from typing import Final

from tillkeeper.domain.order.acts import Refusal, WantedAct, What
from tillkeeper.store.orders.acts import OrderMovedOn, Seen, carry_out, close, plan
from tillkeeper.store.people.approvals import Approval, confirm, open_approval, open_number, propose, refuse
from tillkeeper.store.people.people import takes_two
from tillkeeper.store.postgres.pool import Conn

CLOSING: Final = "close an order in doubt"  # the act that a second person confirms


def subject_of(order_ref: str) -> str:
    """Names an order in approvals and in the log of what people did."""
    return f"order {order_ref}"


async def propose_closing(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime, seen: Seen) -> Approval:
    """Proposes to close an order in doubt, for another person to confirm.

    Raises NoSuchOrder, ActRefused, OrderMovedOn (also where nothing stands against closing any more) or
    AlreadyProposed.
    """
    planned = await plan(conn, order_ref, WantedAct(what=What.CLOSE), by=by, now=now)
    refused = planned.refused
    if refused is not None and refused.why is not Refusal.IN_DOUBT:
        raise refused
    if refused is None or planned.seen != seen:
        raise OrderMovedOn(None)
    content = {"order_ref": order_ref, "doubts": [doubt.text for doubt in refused.doubts]}
    subject = subject_of(order_ref)
    return await propose(conn, act=CLOSING, subject=subject, content=content, reason=note, by=by, now=now)


async def proposal_to_close(conn: Conn, order_ref: str, *, now: datetime) -> Approval | None:
    """Reads why somebody proposed to close the order, where nobody has decided on that yet."""
    return await open_approval(conn, act=CLOSING, subject=subject_of(order_ref), now=now)


async def confirm_closing(conn: Conn, order_ref: str, approval_id: int, *, by: str, now: datetime) -> None:
    """Closes the order as somebody else proposed it.

    Raises NoSuchOrder, NotOpen, SamePerson, or ActRefused, also where more stands against it by now.
    """
    approval = await confirm(conn, await _proposed(conn, order_ref, approval_id, now), by=by, now=now)
    wanted = WantedAct(what=What.CLOSE, despite=frozenset(approval.content["doubts"]))
    await carry_out(conn, order_ref, wanted, by=f"{approval.proposed_by}, {by}", note=approval.reason, now=now)


async def refuse_closing(conn: Conn, order_ref: str, approval_id: int, *, by: str, now: datetime) -> None:
    """Ends a proposal without closing the order.  Raises NotOpen."""
    await refuse(conn, await _proposed(conn, order_ref, approval_id, now), by=by, now=now)


async def _proposed(conn: Conn, order_ref: str, approval_id: int, now: datetime) -> int:
    return await open_number(conn, approval_id, act=CLOSING, subject=subject_of(order_ref), now=now)


async def close_at_terminal(
    conn: Conn, order_ref: str, *, by: str, note: str, now: datetime, force: bool
) -> Approval | None:
    """Closes the order; proposes it instead where money may be there and another person is known who can confirm.

    Raises NoSuchOrder, ActRefused or AlreadyProposed.
    """
    if force and await takes_two(conn):
        planned = await plan(conn, order_ref, WantedAct(what=What.CLOSE), by=by, now=now)
        if planned.refused is not None and planned.refused.why is Refusal.IN_DOUBT:
            return await propose_closing(conn, order_ref, by=by, note=note, now=now, seen=planned.seen)
    await close(conn, order_ref, by=by, note=note, now=now, force=force)
    return None
