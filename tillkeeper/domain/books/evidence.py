"""Makes events of what a gateway's statement lists and nobody told: the statement is their evidence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.books.matching import Comparison, day_of
from tillkeeper.domain.books.statement import LineKind, StatementLine
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent, problem_with

EVENT_KINDS: Final[Mapping[LineKind, Kind]] = MappingProxyType(
    {
        LineKind.PAYMENT: Kind.PAYMENT_SUCCEEDED,
        LineKind.REFUND: Kind.REFUND_SUCCEEDED,
        LineKind.REFUND_FAILED: Kind.REFUND_FAILED,
        LineKind.CHARGEBACK: Kind.DISPUTE_OPENED,
        LineKind.CHARGEBACK_REVERSED: Kind.DISPUTE_WON,
    }
)


def events_of(comparison: Comparison, *, account: str, as_of: datetime) -> list[PaymentEvent]:
    """Returns the events of the lines that are missing here; none where one of them makes no event.

    `as_of` is the moment up to which the statements list everything: they say that it stood so then.
    """
    found: dict[str, PaymentEvent] = {}
    for line in _less_taken_back(comparison.missing_lines):
        day = day_of(line, comparison.zone)
        occurred_at = line.occurred_at or (as_of if day is None else min(day.begins, as_of))
        event = _event(line, account, occurred_at, as_of)
        if problem_with(event):
            return []
        found[event.event_id] = event
    return list(found.values())


def _less_taken_back(lines: Sequence[StatementLine]) -> Sequence[StatementLine]:
    """Returns the lines, of payments what is left after what was taken back; none where of one nothing is left.

    A payment that failed late, or of which a part was not captured, is listed as it came and as it went.
    """
    parts = {line.capture_ref for line in lines if line.kind is LineKind.PAYMENT and line.amount < 0}
    left = [line for line in lines if line.kind is not LineKind.PAYMENT or line.capture_ref not in parts]
    for part in parts:
        of_part = {line.amount: line for line in lines if line.kind is LineKind.PAYMENT and line.capture_ref == part}
        net = sum(of_part)
        if net <= 0:
            return []
        left.append(msgspec.structs.replace(of_part[max(of_part)], amount=net))
    return left


def _event(line: StatementLine, account: str, occurred_at: datetime, as_of: datetime) -> PaymentEvent:
    kind = Kind.REFUND_PENDING if line.pending and line.kind is LineKind.REFUND else EVENT_KINDS[line.kind]
    return PaymentEvent(
        event_id=_id_of(line, kind),
        kind=kind,
        account=account,
        occurred_at=occurred_at,
        as_of=max(as_of, occurred_at),
        evidence=Evidence.STATEMENT,
        order_ref=line.order_ref,
        payment_ref=line.payment_ref,
        capture_ref=line.capture_ref if kind.is_payment else None,
        refund_ref=line.refund_ref if kind.is_refund else None,
        dispute_ref=line.dispute_ref if kind.is_dispute else None,
        amount=abs(line.amount),
        currency=line.currency,
        method=line.method if kind.is_payment else None,
    )


def _id_of(line: StatementLine, kind: Kind) -> str:
    """Names an event by its content, so that any statement that lists the same gives the same."""
    ref = line.refund_ref or line.dispute_ref or line.payment_ref
    part = f":{line.capture_ref}" if line.capture_ref and kind.is_payment else ""
    return f"statement:{ref}:{kind}:{abs(line.amount)}{part}"
