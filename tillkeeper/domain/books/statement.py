"""Defines what a gateway's statement says: its lines, one meaning for all gateways, and what it says of itself."""

from datetime import date, datetime
from enum import StrEnum

import msgspec


class LineKind(StrEnum):
    """What a line of a statement moved."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"  # a refund that came back to the merchant
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"  # a dispute won
    FEE = "fee"  # a fee of its own line; the fee of a payment stands on the payment's line
    RESERVE = "reserve"  # held back (negative) or let go (positive)
    PAYOUT = "payout"  # sent to the bank (negative), or come back from it (positive)
    ADJUSTMENT = "adjustment"  # whatever else moves the balance


class StatementLine(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One movement.

    `amount` is in minor units of `currency`, the currency in which the payer paid, and signed as the merchant's
    balance moves: a payment is positive, a refund, a chargeback and a payout are negative.  A form that lists
    a refund as a positive number is read as negative.  `fee` is what the gateway kept for this line, positive; one
    that it gave back is negative.  `fee` and `net` are in minor units of `settled_currency`, which is None where it
    is the same as `currency`; `net` is what the balance rose by.  None stands where the form does not say.

    `occurred_at` is aware, in UTC; `settled_on` is the day that the statement books the line under, in the
    statement's own zone.  References are the gateway's own numbers, but `order_ref`, which is the merchant's.
    `number` is the line in the file, counted from 1 with headers, as an editor shows it.
    """

    number: int
    kind: LineKind
    amount: int
    currency: str
    fee: int | None = None
    net: int | None = None
    settled_currency: str | None = None
    occurred_at: datetime | None = None
    settled_on: date | None = None
    order_ref: str | None = None
    payment_ref: str | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    payout_ref: str | None = None
    method: str | None = None  # the way of paying in the gateway's own word
    text: str | None = None  # the gateway's own word for a kind that is read as an adjustment
    pending: bool = False  # it was under way when the statement was made, and may still fail


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself, known when it was read to its end.

    `form` names the file's form, such as `wechatpay.trade`.  `covers` holds the kinds that the file lists without
    a gap from `begins` to `ends` (aware, UTC, `ends` excluded): where one of them is missing, it did not happen
    there.  A form that lists only what was settled covers nothing, for a payment may be settled later.
    """

    account: str
    form: str
    begins: datetime
    ends: datetime
    zone: str  # IANA name of the statement's days
    covers: frozenset[LineKind]
    lines: int


class StatementRefused(ValueError):
    """A file cannot be read as a statement of this account; nothing of it was taken.

    The text names the file's line where there is one, says what was wrong, and what would be right.
    """

    def __init__(self, text: str, *, line: int | None = None) -> None:
        """Puts the line before the text."""
        self.line = line
        super().__init__(text if line is None else f"line {line}: {text}")
