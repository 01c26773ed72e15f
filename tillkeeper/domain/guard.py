"""Decides whether the changes of an account go so far that a person must look before they count.

    orders of the account in a window of five minutes, with those that a batch would change
      ──> many, by the rule's own number ─ more than the account ever had ─ most of what was decided ─ of what is open
      ──> all four: the account is paused, and the batch is not written for it

A gateway's fault or a thief's key shows in one of four ways: payments that fail, money that is taken back, events that
cannot be of their orders, and amounts far from what the orders ask for (minor units taken for major ones, or 0.01 paid
for anything).  Successes in the orders' own amounts only ever speak against a pause, however many there are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from tillkeeper.domain.batch import BatchItem
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.facts import ObjectStatus
from tillkeeper.domain.order.receiving import Outcome
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.statuses import Status

WINDOW: Final = timedelta(minutes=5)
USUAL: Final = timedelta(days=28)  # four of each weekday, and a month's end
_LOST: Final = frozenset({ObjectStatus.FAILED, ObjectStatus.CANCELLED})
FAR_OFF_TIMES: Final = 50  # minor for major units is a hundredfold at least, but for fees and discounts


class GuardSign(StrEnum):
    """What orders are counted for."""

    FAILED = "failed"  # their first payment that failed
    TAKEN_BACK = "taken_back"  # money that was there goes back, and the merchant did not register that refund
    MISMATCHED = "mismatched"  # another currency, or an account where they are not paid
    FAR_OFF = "far_off"  # paid at once by fifty times their amount or a fiftieth of it


class OrderCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of one account by what events did to them; `paid` are those that got money as one would expect."""

    paid: int = 0
    failed: int = 0
    taken_back: int = 0
    mismatched: int = 0
    far_off: int = 0

    def __add__(self, other: "OrderCounts") -> "OrderCounts":
        """Adds two counts up."""
        return OrderCounts(
            paid=self.paid + other.paid,
            failed=self.failed + other.failed,
            taken_back=self.taken_back + other.taken_back,
            mismatched=self.mismatched + other.mismatched,
            far_off=self.far_off + other.far_off,
        )

    def of(self, sign: GuardSign) -> int:
        """Returns how many orders show a sign."""
        count: int = getattr(self, sign)
        return count


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When the orders that show a sign are too many; all of it must hold."""

    least: int  # orders in the window
    share: float  # of those and the orders paid
    open_share: float = 0.0  # of the account's open orders
    times_usual: float = 2.0  # the most that any window of the last four weeks had


Rules = Mapping[GuardSign, Rule]

# Chosen by a simulated month (docs/guard.md).
RULES: Final[Rules] = MappingProxyType(
    {
        GuardSign.FAILED: Rule(least=20, share=0.75, open_share=0.1),
        GuardSign.TAKEN_BACK: Rule(least=20, share=0.5),
        GuardSign.MISMATCHED: Rule(least=10, share=0.5),
        GuardSign.FAR_OFF: Rule(least=5, share=0.5),
    }
)


class PauseReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why an account is paused, with its numbers; `line` is how many orders the rule would have let pass."""

    sign: GuardSign
    orders: int
    paid: int
    line: int
    share: float
    usual_most: int
    open_orders: int | None = None

    @property
    def text(self) -> str:
        """Says it in a sentence."""
        of_open = "" if self.open_orders is None else f", of {self.open_orders} open ones"
        happened = _SAYS.get(self.sign, self.sign)  # a later version may have other rules
        return (
            f"within {WINDOW // timedelta(minutes=1)} minutes {self.orders} orders {happened}{of_open}, and "
            f"{self.paid} were paid; the most in such a time was {self.usual_most} before"
        )


_SAYS: Final[Mapping[GuardSign, str]] = {
    GuardSign.FAILED: "failed",
    GuardSign.TAKEN_BACK: "had money taken back",
    GuardSign.MISMATCHED: "got events that do not fit them",
    GuardSign.FAR_OFF: f"got {FAR_OFF_TIMES} times their amount or more, or a part as small",
}


def judge(
    counts: OrderCounts, rules: Rules, *, usual_most: OrderCounts | None = None, open_orders: int | None = None
) -> PauseReason | None:
    """Returns why the account must be paused, or None.

    Without `usual_most` and `open_orders` it says whether that is possible: then they are worth reading.
    """
    for sign, rule in rules.items():
        orders, usual = counts.of(sign), (usual_most or OrderCounts()).of(sign)
        line = max(rule.least, int(rule.times_usual * usual))
        share = orders / max(1, orders + counts.paid)
        if orders < line or share < rule.share:
            continue
        if orders < rule.open_share * (open_orders or 0):
            continue
        return PauseReason(
            sign=sign,
            orders=orders,
            paid=counts.paid,
            line=line,
            share=round(share, 3),
            usual_most=usual,
            open_orders=open_orders if rule.open_share else None,
        )
    return None


def count(changes: Iterable[Changes], arrivals: Mapping[int, list[BatchItem]]) -> dict[str, OrderCounts]:
    """Counts the orders that a batch changes, for each account whose events do so."""
    tallies = defaultdict[str, Counter[str]](Counter)
    for change in changes:
        told = arrivals.get(change.before.id, ())
        for account in {arrival.event.account for arrival in told if arrival.outcome is Outcome.MISMATCHED}:
            tallies[account][GuardSign.MISMATCHED] += 1
        if change.has_moved and (shown := shown_by(change)) is not None:
            for account in {arrival.event.account for arrival in told if arrival.outcome is Outcome.APPLIED}:
                tallies[account][shown] += 1
    return {account: OrderCounts(**tally) for account, tally in tallies.items()}


def shown_by(change: Changes) -> GuardSign | Literal["paid"] | None:
    """Says what became of an order whose money moved, or None where that says nothing."""
    before, after = change.before.stored, change.after.summary
    came_in = after.captured - before.captured
    if came_in > 0:
        return GuardSign.FAR_OFF if _is_far_off(change.before, came_in) else "paid"
    returned = after.refunded + after.refunding - before.refunded - before.refunding
    if before.captured > 0 and (came_in < 0 or returned > 0):
        return GuardSign.TAKEN_BACK
    if after.status is Status.FAILED and not _failed_before(change.before):
        return GuardSign.FAILED
    return None


def _is_far_off(order: OrderState, amount: int) -> bool:
    """Returns whether a sum is far from the order's; an order that is paid in parts may get small ones."""
    due = order.order.amount
    return amount >= FAR_OFF_TIMES * due or (amount * FAR_OFF_TIMES <= due and not order.instalments)


def _failed_before(order: OrderState) -> bool:
    """Returns whether a payment of the order failed already: that another one does means nothing new."""
    return any(payment.status in _LOST for payment in order.facts.payments.values())
