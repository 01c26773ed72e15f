"""Statement files for tests that need lines and no form: what a reader would give, written down."""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine
from tillkeeper.store.books.taking import StatementFile

DAY = datetime(2026, 11, 22, tzinfo=UTC)
BOTH = frozenset({LineKind.PAYMENT, LineKind.REFUND})


def a_line(kind=LineKind.PAYMENT, amount=100, **fields):
    """A payment at noon of the day; a refund, chargeback or payout is written as the amount that left."""
    defaults = {
        "number": 2,
        "currency": "CNY",
        "occurred_at": DAY + timedelta(hours=12),
        "order_ref": "A1",
        "payment_ref": "pi_1",
    }
    return StatementLine(kind=kind, amount=amount, **{**defaults, **fields})


def a_file(
    *lines, form="test.trade", begins=DAY, ends=None, covers=BOTH, account="stripe-main", zone="UTC", name="day"
):
    """A file of one day with these lines, as it was read."""
    said = Statement(
        account=account,
        form=form,
        begins=begins,
        ends=ends or begins + timedelta(days=1),
        zone=zone,
        covers=frozenset(covers),
        lines=len(lines),
    )
    content = msgspec.json.encode([said, lines], order="sorted", enc_hook=sorted)
    return StatementFile(
        name=f"{name}.csv",
        digest=hashlib.sha256(content).digest(),
        form=form,
        lines=iter(lines),
        statement=lambda: said,
    )
