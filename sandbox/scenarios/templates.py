"""Templates of payments with realistic times: seconds for cards and wallets, hours for bank debits and refunds.

A gateway has no webhook for the events in WITHOUT_WEBHOOK, which only a query shows.
"""

from typing import Final

from tillkeeper.sandbox.templates import ALL, Event, failed, paid, partially_refunded, processing, refunded, unpaid

MINUTE: Final = 60
HOUR: Final = 3600

AT_THE_TILL_S: Final = (8, 20, 45, 110)  # until the payer has typed, scanned and confirmed
IN_A_MOMENT_S: Final = (1, 2, 5)
AT_THE_BANK_S: Final = (2 * HOUR, 5 * HOUR, 9 * HOUR)
ANOTHER_TRY_S: Final = (40, 90, 4 * MINUTE)
TIMED_OUT_S: Final = (30 * MINUTE,)
SECOND_THOUGHTS_S: Final = (3, 90, 20 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR)  # until the merchant gives money back
REFUNDED_S: Final = (30, 4 * MINUTE, 40 * MINUTE)

WITHOUT_WEBHOOK: Final = frozenset(
    {"refund asked", "NOTPAY", "USERPAYING", "PAYERROR", "REVOKED", "CLOSED", "REFUND.PROCESSING"}
)

_CREATED: Final = Event("payment_intent.created")
_PROCESSING: Final = Event("payment_intent.processing", after_s=AT_THE_TILL_S)
_BY_CARD: Final = (_CREATED, Event("payment_intent.succeeded", after_s=AT_THE_TILL_S))
_DECLINED: Final = (_CREATED, Event("payment_intent.payment_failed", after_s=AT_THE_TILL_S))
_RETRIED: Final = Event("payment_intent.processing", after_s=ANOTHER_TRY_S)
_AFTER_A_MOMENT: Final = Event("payment_intent.succeeded", after_s=IN_A_MOMENT_S)
_AT_THE_BANK: Final = Event("payment_intent.succeeded", after_s=AT_THE_BANK_S)


def _stripe_refund(tenths: int, *, ends: str) -> tuple[Event, ...]:
    """Returns a refund, which the charge tells at once, and how it ends."""
    return (
        Event("refund.created", tenths, "1", after_s=SECOND_THOUGHTS_S),
        Event("charge.refunded", tenths, after_s=(0,)),
        Event(ends, tenths, "1", after_s=REFUNDED_S),
    )


STRIPE: Final = (
    paid("paid by card", 40, *_BY_CARD),
    paid("paid after a moment", 20, _CREATED, _PROCESSING, _AFTER_A_MOMENT),
    paid("paid by bank debit", 6, _CREATED, _PROCESSING, _AT_THE_BANK),
    paid("declined, then paid", 10, *_DECLINED, _RETRIED, _AFTER_A_MOMENT),
    failed("declined", 7, *_DECLINED),
    failed("abandoned", 5, _CREATED, Event("payment_intent.canceled", after_s=TIMED_OUT_S)),
    unpaid("only looked at", 4, _CREATED),
    refunded("given back", 5, *_BY_CARD, *_stripe_refund(ALL, ends="refund.updated")),
    partially_refunded("a part given back", 4, 4, *_BY_CARD, *_stripe_refund(4, ends="refund.updated")),
    paid("a refund that fails", 2, *_BY_CARD, *_stripe_refund(ALL, ends="refund.failed")),
)

_SCANNED: Final = Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S)
_BY_ALIPAY: Final = (_SCANNED, Event("TRADE_SUCCESS", after_s=AT_THE_TILL_S))


def _alipay_refund(tenths: int, part: str = "1", *, total: int) -> tuple[Event, ...]:
    """Returns a refund that the merchant asked for; Alipay tells the total of all so far."""
    return (
        Event("refund asked", tenths, part, after_s=SECOND_THOUGHTS_S),
        Event("refunded", total, part, after_s=REFUNDED_S),
    )


ALIPAY: Final = (
    paid("paid", 64, *_BY_ALIPAY),
    failed("left at the till", 12, _SCANNED, Event("TRADE_CLOSED", after_s=TIMED_OUT_S)),
    unpaid("never opened", 6),
    refunded("given back", 8, *_BY_ALIPAY, *_alipay_refund(ALL, total=ALL)),
    partially_refunded("a part given back", 6, 3, *_BY_ALIPAY, *_alipay_refund(3, total=3)),
    partially_refunded(
        "two parts given back", 4, 7, *_BY_ALIPAY, *_alipay_refund(3, total=3), *_alipay_refund(4, "2", total=7)
    ),
)

_NOT_PAID: Final = Event("NOTPAY")
_PASSWORD_ASKED: Final = Event("USERPAYING", after_s=IN_A_MOMENT_S)
_CONFIRMED: Final = Event("TRANSACTION.SUCCESS", after_s=AT_THE_TILL_S)


def _wechatpay_refund(tenths: int, *, ends: str) -> tuple[Event, ...]:
    """Returns a refund that the merchant asked for, and how it ends."""
    return (
        Event("REFUND.PROCESSING", tenths, "1", after_s=SECOND_THOUGHTS_S),
        Event(ends, tenths, "1", after_s=REFUNDED_S),
    )


WECHATPAY: Final = (
    paid("paid", 66, _NOT_PAID, _CONFIRMED),
    paid("paid after the password", 8, _NOT_PAID, _PASSWORD_ASKED, _CONFIRMED),
    unpaid("never paid", 5, _NOT_PAID),
    failed("closed unpaid, of which there is no notice", 4, _NOT_PAID, Event("CLOSED", after_s=TIMED_OUT_S)),
    refunded("given back", 8, _NOT_PAID, _CONFIRMED, *_wechatpay_refund(ALL, ends="REFUND.SUCCESS")),
    partially_refunded("a part given back", 6, 2, _NOT_PAID, _CONFIRMED, *_wechatpay_refund(2, ends="REFUND.SUCCESS")),
    paid(
        "a refund that the payer's card does not take",
        4,
        _NOT_PAID,
        _CONFIRMED,
        *_wechatpay_refund(5, ends="REFUND.ABNORMAL"),
    ),
)

DAY_TEMPLATES: Final = {"stripe": STRIPE, "alipay": ALIPAY, "wechatpay": WECHATPAY}

# For a gateway that stays undecided: each payment reaches it, and then nothing more is known.
STUCK_TEMPLATES: Final = {
    "stripe": (processing("stuck at the bank", 1, _CREATED, _PROCESSING),),
    "alipay": (processing("stuck at Alipay", 1, _SCANNED),),
    "wechatpay": (processing("stuck at WeChat Pay", 1, _NOT_PAID, _PASSWORD_ASKED),),
}
