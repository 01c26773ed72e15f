"""Prints docs/states.md from the tables of the domain: statuses, objects, which event leads where, and ladders.

Run it by `make docs`; a test fails when what it prints is not what is there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.ladder import Action
from tillkeeper.domain.order.facts import DISPUTE_STATUSES, PAYMENT_STATUSES, REFUND_STATUSES, OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import STATUS_TABLE, summarize
from tillkeeper.domain.statuses import TRAITS, Status
from tillkeeper.policy.drawing import WORDS
from tillkeeper.policy.ladders import SENSE

PAGE: Final = Path(__file__).parents[1] / "docs" / "states.md"
NOON: Final = datetime(2026, 10, 5, 12, tzinfo=UTC)
ORDER: Final = Order(order_ref="A-1001", amount=100, currency="EUR", accounts=frozenset({"main"}))
PART: Final = 40  # of the 100 that are due

BEGINNING: Final = """\
# States

Printed from the tables of `tillkeeper/domain/order/` by `make docs`. A status is never set: it is a function of what is
known of an order's payments, refunds and disputes (its facts), and facts only ever gather. So no transitions are
written down anywhere, and those below are computed.
"""

# One short history for each status, of an order of 100.
HISTORIES: Final[Mapping[Status, Sequence[tuple[Kind, int]]]] = {
    Status.UNPAID: (),
    Status.PROCESSING: ((Kind.PAYMENT_PENDING, 100),),
    Status.PAID: ((Kind.PAYMENT_SUCCEEDED, 100),),
    Status.FAILED: ((Kind.PAYMENT_FAILED, 100),),
    Status.PARTIALLY_PAID: ((Kind.PAYMENT_SUCCEEDED, PART),),
    Status.REFUNDING: ((Kind.PAYMENT_SUCCEEDED, 100), (Kind.REFUND_PENDING, PART)),
    Status.PARTIALLY_REFUNDED: ((Kind.PAYMENT_SUCCEEDED, 100), (Kind.REFUND_SUCCEEDED, PART)),
    Status.REFUNDED: ((Kind.PAYMENT_SUCCEEDED, 100), (Kind.REFUND_SUCCEEDED, 100)),
}


def page() -> str:
    """docs/states.md."""
    parts = (_statuses(), _objects(), _transitions(), _traits(), _actions())
    return BEGINNING + "\n" + "\n".join(line for part in parts for line in (*part, ""))


def _statuses() -> Iterator[str]:
    yield "## Which status an order has"
    yield ""
    yield "The first line that holds (`STATUS_TABLE` in `tillkeeper/domain/order/status.py`). Amounts count"
    yield "where the payment is expected at that account and is in the order's currency; what is due is the"
    yield "amount less what a gateway granted off it."
    yield ""
    rows = ((f"`{rule.status}`", TRAITS[rule.status].zh, rule.when) for rule in STATUS_TABLE)
    yield from _table(("status", "", "when"), rows)


def _objects() -> Iterator[str]:
    yield "## How two words about one object are weighed"
    yield ""
    yield "The later one stands, by the gateway's own time; within one instant the higher rank. A payment's"
    yield "success absorbs: what takes the money back is a refund, a dispute or a reversal, each an object of"
    yield "its own (`tillkeeper/domain/order/facts.py`)."
    yield ""
    rows = (
        (name, f"`{kind}`", status, str(rank))
        for name, statuses in (
            ("payment", PAYMENT_STATUSES),
            ("refund", REFUND_STATUSES),
            ("dispute", DISPUTE_STATUSES),
        )
        for kind, (status, rank) in statuses.items()
    )
    yield from _table(("object", "event", "it stands", "rank"), rows)


def _transitions() -> Iterator[str]:
    yield "## Which event leads where"
    yield ""
    yield "Of an order of 100, one payment and one refund: what its status is after one more event about them."
    yield f"Payments are of 100, or of {PART} where the order is partially paid; refunds are of {PART}, or of"
    yield "100 where the order is refunded. `·` is no change."
    yield ""
    rows = ((f"`{kind}`", *(_after(status, kind) for status in Status)) for kind in Kind)
    yield from _table(("event", *(f"`{status}`" for status in Status)), rows)


def _after(status: Status, kind: Kind) -> str:
    facts = _facts(HISTORIES[status])
    assert summarize(ORDER, facts).status is status
    payment = PART if status is Status.PARTIALLY_PAID else 100
    refund = 100 if status is Status.REFUNDED else PART
    told = apply(facts, _event(kind, refund if kind.is_refund else payment, len(HISTORIES[status])))
    after = summarize(ORDER, told).status
    return "·" if after is status else after


def _facts(history: Sequence[tuple[Kind, int]]) -> OrderFacts:
    facts = OrderFacts()
    for at, (kind, amount) in enumerate(history):
        facts = apply(facts, _event(kind, amount, at))
    return facts


def _event(kind: Kind, amount: int, hours: int) -> PaymentEvent:
    return PaymentEvent(
        event_id=f"{kind} {hours}",
        kind=kind,
        account="main",
        occurred_at=NOON + timedelta(hours=hours),
        payment_ref="payment",
        refund_ref="refund" if kind.is_refund else None,
        dispute_ref="dispute" if kind.is_dispute else None,
        amount=amount,
        currency="EUR",
    )


def _traits() -> Iterator[str]:
    yield "## What a status means for those who act on it"
    yield ""
    yield "`TRAITS` in `tillkeeper/domain/statuses.py`."
    yield ""
    rows = (
        (
            f"`{status}`",
            _yes(traits.moving),
            _yes(traits.awaited),
            _yes(traits.empty),
            f"`{traits.told_at_once}`" if traits.told_at_once else "by its ladder",
        )
        for status, traits in TRAITS.items()
    )
    yield from _table(
        ("status", "money is on its way", "the payer may pay", "it may be closed", "its payer is told at once"),
        rows,
    )


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


def _actions() -> Iterator[str]:
    yield "## What its ladder may do"
    yield ""
    yield "Which actions a policy may name for a status (`SENSE` in `tillkeeper/policy/ladders.py`); when each"
    yield "is done by default is drawn in [policy.md](policy.md)."
    yield ""
    rows = (
        (f"`{action}`", WORDS[action], *(_yes(status in SENSE[action][0]) for status in Status)) for action in Action
    )
    yield from _table(("action", "does", *(f"`{status}`" for status in Status)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
