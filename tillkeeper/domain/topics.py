"""Lists the topics of notices to payers, to the merchant's systems and to people on duty."""

from enum import StrEnum
from typing import Final


class Topic(StrEnum):
    """The topics of notices to payers."""

    PROCESSING = "payer.processing"
    PAID = "payer.paid"
    PARTIALLY_PAID = "payer.partially_paid"
    FAILED = "payer.failed"
    REMINDER = "payer.reminder"
    INSTALMENT_DUE = "payer.instalment_due"
    PAID_AFTER_CLOSING = "payer.paid_after_closing"
    REFUNDING = "payer.refunding"
    REFUNDED = "payer.refunded"
    PARTIALLY_REFUNDED = "payer.partially_refunded"
    REFUND_FAILED = "payer.refund_failed"
    EXPIRED = "payer.expired"


# Payers get notices about money that moved in any case, each fact once by its key.  The other topics ask or warn.
OF_MONEY: Final = frozenset(
    {
        Topic.PAID,
        Topic.PARTIALLY_PAID,
        Topic.PAID_AFTER_CLOSING,
        Topic.REFUNDING,
        Topic.REFUNDED,
        Topic.PARTIALLY_REFUNDED,
        Topic.REFUND_FAILED,
    }
)
# Each of these is sent once for each sum; all others, such as reminders of a slow refund, end at the cap.
UNCAPPED: Final = OF_MONEY - {Topic.REFUNDING}
# Where paying is right, so that a button leads there.
ASKS_TO_PAY: Final = frozenset({Topic.PARTIALLY_PAID, Topic.FAILED, Topic.REMINDER, Topic.INSTALMENT_DUE})


class MerchantTopic(StrEnum):
    """The topics of notices to the merchant's systems."""

    STATUS_CHANGED = "order.status_changed"
    AMOUNTS_CHANGED = "order.amounts_changed"
    REOPENED = "order.reopened"
    CLOSED = "order.closed"


class AccountTopic(StrEnum):
    """What people on duty are told of an account."""

    SILENT = "account.silent"
    TALKING = "account.talking"
    UNANSWERING = "account.unanswering"
    ANSWERING = "account.answering"
    UNKNOWN_WORD = "account.unknown_word"


class CaseTopic(StrEnum):
    """The topics of notices to people on duty about a case."""

    OPENED = "case.opened"
    ESCALATED = "case.escalated"
    FOLLOWED_UP = "case.followed_up"
