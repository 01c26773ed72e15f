"""Names every kind of case, of whichever part: what people filter by, and what is counted."""

from enum import StrEnum, unique
from typing import Final

from tillkeeper.domain.order.mismatch import Mismatch


@unique
class CaseKind(StrEnum):
    """A kind of case; its word is stored, and stands in metrics and notices."""

    ACCOUNT_PAUSED = "account_paused"
    ANSWER_NOT_APPLIED = "answer_not_applied"
    CLAIMED_PAID = "claimed_paid"
    CLOSE_IN_DOUBT = "close_in_doubt"
    DISPUTED = "disputed"
    EVENT_ID_REUSED = "event_id_reused"
    FETCH_FAILED = "fetch_failed"
    NOTICE_UNDELIVERABLE = "notice_undeliverable"
    OVERPAID = "overpaid"
    PAID_AFTER_CLOSING = "paid_after_closing"
    PAID_TWICE = "paid_twice"
    PAYMENT_REVERSED = "payment_reversed"
    PAYOUT_MISSING = "payout_missing"
    REFERENCE_CONFLICT = "reference_conflict"
    REFUND_FAILED = "refund_failed"
    REFUND_UNKNOWN = "refund_unknown"
    REFUNDED_MORE_THAN_CAPTURED = "refunded_more_than_captured"
    STATEMENT_AT_GATEWAY_ONLY = "statement_at_gateway_only"
    STATEMENT_DIFFERS = "statement_differs"
    STATEMENT_FEE_DIFFERS = "statement_fee_differs"
    STATEMENT_HERE_ONLY = "statement_here_only"
    STATEMENT_MISSING = "statement_missing"
    STUCK = "stuck"
    UNEXPECTED_ACCOUNT = Mismatch.UNEXPECTED_ACCOUNT.value
    UNMATCHED_PAYMENT = "unmatched_payment"
    WRONG_CURRENCY = Mismatch.WRONG_CURRENCY.value


CASE_KINDS: Final[frozenset[str]] = frozenset(CaseKind)  # of stored cases, whose kinds are words

# Details of cases that are amounts, in the currency that stands beside them.
AMOUNTS: Final = frozenset(
    {
        *("amount", "due", "paid", "captured", "refunding", "refunded", "proposed_refund"),
        *("listed", "known_here", "listed_fee", "agreed_fee"),
    }
)
