"""How payments go in life, with spans as they are at the till: seconds for cards and wallets, hours for bank debits and
refunds.

The words in UNSAID are those that a gateway has no webhook for: nobody learns of them who does not ask.
"""

from typing import Final

from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.statuses import Status

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

STRIPE: Final = (
    Template(
        name="paid by card",
        weight=40,
        events=(Event("payment_intent.created"), Event("payment_intent.succeeded", after_s=AT_THE_TILL_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid after a moment",
        weight=20,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.processing", after_s=AT_THE_TILL_S),
            Event("payment_intent.succeeded", after_s=IN_A_MOMENT_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid by bank debit",
        weight=6,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.processing", after_s=AT_THE_TILL_S),
            Event("payment_intent.succeeded", after_s=AT_THE_BANK_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, then paid",
        weight=10,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.payment_failed", after_s=AT_THE_TILL_S),
            Event("payment_intent.processing", after_s=ANOTHER_TRY_S),
            Event("payment_intent.succeeded", after_s=IN_A_MOMENT_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=7,
        events=(Event("payment_intent.created"), Event("payment_intent.payment_failed", after_s=AT_THE_TILL_S)),
        status=Status.FAILED,
    ),
    Template(
        name="abandoned",
        weight=5,
        events=(Event("payment_intent.created"), Event("payment_intent.canceled", after_s=TIMED_OUT_S)),
        status=Status.FAILED,
    ),
    Template(name="only looked at", weight=4, events=(Event("payment_intent.created"),), status=Status.UNPAID),
    Template(
        name="given back",
        weight=5,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.succeeded", after_s=AT_THE_TILL_S),
            Event("refund.created", ALL, "1", after_s=SECOND_THOUGHTS_S),
            Event("charge.refunded", ALL, after_s=(0,)),
            Event("refund.updated", ALL, "1", after_s=REFUNDED_S),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back",
        weight=4,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.succeeded", after_s=AT_THE_TILL_S),
            Event("refund.created", 4, "1", after_s=SECOND_THOUGHTS_S),
            Event("charge.refunded", 4, after_s=(0,)),
            Event("refund.updated", 4, "1", after_s=REFUNDED_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="a refund that fails",
        weight=2,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.succeeded", after_s=AT_THE_TILL_S),
            Event("refund.created", ALL, "1", after_s=SECOND_THOUGHTS_S),
            Event("charge.refunded", ALL, after_s=(0,)),
            Event("refund.failed", ALL, "1", after_s=REFUNDED_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
)

ALIPAY: Final = (
    Template(
        name="paid",
        weight=64,
        events=(Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S), Event("TRADE_SUCCESS", after_s=AT_THE_TILL_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="left at the till",
        weight=12,
        events=(Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S), Event("TRADE_CLOSED", after_s=TIMED_OUT_S)),
        status=Status.FAILED,
    ),
    Template(name="never opened", weight=6, status=Status.UNPAID),
    Template(
        name="given back",
        weight=8,
        events=(
            Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S),
            Event("TRADE_SUCCESS", after_s=AT_THE_TILL_S),
            Event("refund asked", ALL, "1", after_s=SECOND_THOUGHTS_S),
            Event("refunded", ALL, "1", after_s=REFUNDED_S),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S),
            Event("TRADE_SUCCESS", after_s=AT_THE_TILL_S),
            Event("refund asked", 3, "1", after_s=SECOND_THOUGHTS_S),
            Event("refunded", 3, "1", after_s=REFUNDED_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="two parts given back",
        weight=4,
        events=(
            Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S),
            Event("TRADE_SUCCESS", after_s=AT_THE_TILL_S),
            Event("refund asked", 3, "1", after_s=SECOND_THOUGHTS_S),
            Event("refunded", 3, "1", after_s=REFUNDED_S),
            Event("refund asked", 4, "2", after_s=SECOND_THOUGHTS_S),
            Event("refunded", 7, "2", after_s=REFUNDED_S),  # the total, not the part
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
)

WECHATPAY: Final = (
    Template(
        name="paid",
        weight=66,
        events=(Event("NOTPAY"), Event("TRANSACTION.SUCCESS", after_s=AT_THE_TILL_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid after the password",
        weight=8,
        events=(
            Event("NOTPAY"),
            Event("USERPAYING", after_s=IN_A_MOMENT_S),
            Event("TRANSACTION.SUCCESS", after_s=AT_THE_TILL_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="never paid", weight=5, events=(Event("NOTPAY"),), status=Status.UNPAID),
    Template(
        name="closed unpaid, of which there is no notice",
        weight=4,
        events=(Event("NOTPAY"), Event("CLOSED", after_s=TIMED_OUT_S)),
        status=Status.FAILED,
    ),
    Template(
        name="given back",
        weight=8,
        events=(
            Event("NOTPAY"),
            Event("TRANSACTION.SUCCESS", after_s=AT_THE_TILL_S),
            Event("REFUND.PROCESSING", ALL, "1", after_s=SECOND_THOUGHTS_S),
            Event("REFUND.SUCCESS", ALL, "1", after_s=REFUNDED_S),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("NOTPAY"),
            Event("TRANSACTION.SUCCESS", after_s=AT_THE_TILL_S),
            Event("REFUND.PROCESSING", 2, "1", after_s=SECOND_THOUGHTS_S),
            Event("REFUND.SUCCESS", 2, "1", after_s=REFUNDED_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=4,
        events=(
            Event("NOTPAY"),
            Event("TRANSACTION.SUCCESS", after_s=AT_THE_TILL_S),
            Event("REFUND.PROCESSING", 5, "1", after_s=SECOND_THOUGHTS_S),
            Event("REFUND.ABNORMAL", 5, "1", after_s=REFUNDED_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
)

DAY_TEMPLATES: Final = {"stripe": STRIPE, "alipay": ALIPAY, "wechatpay": WECHATPAY}

# For a gateway that stays undecided: each payment reaches it, and then nothing more is known.
STUCK_TEMPLATES: Final = {
    "stripe": (
        Template(
            name="stuck at the bank",
            weight=1,
            events=(Event("payment_intent.created"), Event("payment_intent.processing", after_s=AT_THE_TILL_S)),
            status=Status.PROCESSING,
        ),
    ),
    "alipay": (
        Template(
            name="stuck at Alipay",
            weight=1,
            events=(Event("WAIT_BUYER_PAY", after_s=IN_A_MOMENT_S),),
            status=Status.PROCESSING,
        ),
    ),
    "wechatpay": (
        Template(
            name="stuck at WeChat Pay",
            weight=1,
            events=(Event("NOTPAY"), Event("USERPAYING", after_s=IN_A_MOMENT_S)),
            status=Status.PROCESSING,
        ),
    ),
}
