"""Decides which reminders the steps of a ladder write to a payer, and when they are held back.

No payer is asked to pay in doubt: before a reminder that money is missing, the gateway must have answered a query at
the step's moment or later.  Where an event is parked, or a case says that there may be money that does not count, it
waits for a person.  Where the gateway cannot be queried, a failure is reported all the same, for it is the gateway's
own statement; that nothing came is only our lack of knowledge.  mail_timing.py decides whether a mail may go out.
"""

from datetime import datetime
from typing import Literal

from tillkeeper.domain.ladder import Action, Step
from tillkeeper.domain.order.notices import Notice, payer_notices
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import Topic


def needed_first(order: OrderState, step: Step) -> Literal["ask", "wait"] | None:
    """Returns what must come before a payer is told who might pay then: an answer of the gateway, or a person's."""
    if not asks_to_pay(order, step):
        return None
    progress = order.progress
    if order.money_is_unclear:
        return "wait"
    if progress.answered_at >= step.at:
        return None
    if progress.refused_at >= step.at:
        return None if step.action is Action.GRACE else "wait"
    return "wait" if progress.retry is not None else "ask"


def asks_to_pay(order: OrderState, step: Step) -> bool:
    """Returns True if the step tells the payer to pay, or that their payment failed."""
    return owes_money(order) if step.action is Action.REMIND else step.action is Action.GRACE


def owes_money(order: OrderState) -> bool:
    """Returns True if its payer may be asked for money now: some is due, and none is on its way."""
    is_due = order.next_instalment() is not None if order.instalments else order.remaining > 0
    return order.traits.awaited and is_due and not order.is_under_way


def reminder_notices(order: OrderState, step: Step) -> list[Notice]:
    """Makes what a reminder says to the payer, if anything."""
    # By its number: the same reminder at another moment, as a changed policy has it, is not sent again.
    occasion = f"phase {order.phase} no {step.level}"
    if not asks_to_pay(order, step):
        # Authorized money comes when the merchant captures it: there is nothing to remind of.
        is_moving = order.traits.moving or order.is_under_way
        return payer_notices(order, order, order.traits.told_while_moving, occasion=occasion) if is_moving else []
    return _asking_notices(order, occasion)


def notices_by_hand(order: OrderState, *, now: datetime) -> list[Notice]:
    """Makes the reminder that a person has sent; a day has one."""
    return _asking_notices(order, f"by hand {now:%Y-%m-%d}")


def _asking_notices(order: OrderState, occasion: str) -> list[Notice]:
    due = order.next_instalment()
    if due is not None and order.summary.status is not Status.FAILED:
        return payer_notices(
            order, order, Topic.INSTALMENT_DUE, occasion=occasion, due_at=due.due_at, due_amount=due.amount
        )
    return payer_notices(order, order, Topic.REMINDER, occasion=occasion)


def failure_notices(order: OrderState) -> list[Notice]:
    """Makes the notice that a payment failed, which is sent once its grace is over."""
    return payer_notices(order, order, Topic.FAILED, occasion=f"phase {order.phase}")
