"""What can happen to an order, as a table: the gateway's words in the order of their happening, and how it must end.

The ends are written by hand from the design's table of statuses and never computed, so that they can prove it wrong.
Amounts are tenths of the order's amount.
"""

from typing import Final

import msgspec

from tillkeeper.domain.order import Status

ALL: Final = 10  # tenths

LATER_S: Final = (1, 4, 30, 90)  # seconds since the word before
AT_ONCE_S: Final = (0, 0, 1, 30)  # also within one second, where rank decides

STRIPE_CURRENCIES: Final = ("EUR", "USD", "CNY", "GBP", "JPY", "KWD")  # of two, none and three decimals
YUAN: Final = ("CNY",)


class Say(msgspec.Struct, frozen=True):
    """One word of a gateway's."""

    word: str
    tenths: int = ALL
    part: str = ""  # which refund of the payment, where one word alone does not tell
    after_s: tuple[int, ...] = LATER_S


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of story.  `weight` is how often it is told among those of its gateway."""

    name: str
    weight: int
    says: tuple[Say, ...] = ()
    status: Status
    paid: int = 0
    refunded: int = 0
    in_other_currency: bool = False  # the order is due in another currency than it is paid in
    at_other_account: bool = False  # the order is expected at another account than it is paid at


STRIPE: Final = (
    Template(
        name="paid",
        weight=30,
        says=(
            Say("payment_intent.created"),
            Say("payment_intent.processing"),
            Say("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=8,
        says=(Say("payment_intent.amount_capturable_updated"), Say("payment_intent.succeeded", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured in part",
        weight=5,
        says=(Say("payment_intent.amount_capturable_updated"), Say("payment_intent.succeeded", 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="declined, then paid",
        weight=12,
        says=(
            Say("payment_intent.payment_failed"),
            Say("payment_intent.processing"),
            Say("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=5,
        says=(
            Say("checkout.session.completed"),
            Say("checkout.session.async_payment_succeeded"),
            Say("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=6,
        says=(Say("payment_intent.processing"), Say("payment_intent.payment_failed", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="declined, and tried again",
        weight=3,
        says=(Say("payment_intent.payment_failed"), Say("payment_intent.processing")),
        status=Status.PROCESSING,
    ),
    Template(
        name="abandoned",
        weight=5,
        says=(Say("payment_intent.processing"), Say("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=4, says=(Say("payment_intent.processing"),), status=Status.PROCESSING),
    Template(name="only looked at", weight=3, says=(Say("payment_intent.created"),), status=Status.UNPAID),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", 4, "1"),
            Say("charge.refunded", 4, after_s=AT_ONCE_S),
            Say("refund.updated", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="two parts given back",
        weight=3,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", 2, "1"),
            Say("refund.updated", 2, "1", after_s=AT_ONCE_S),
            Say("refund.created", 5, "2"),
            Say("refund.updated", 5, "2", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=5,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", ALL, "1"),
            Say("refund.updated", ALL, "1", after_s=AT_ONCE_S),
            Say("charge.refunded", ALL),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(
            Say("payment_intent.succeeded"),
            Say("charge.refunded", 4),
            Say("refund.created", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", ALL, "1"),
            Say("charge.refunded", ALL, after_s=AT_ONCE_S),
            Say("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.updated", 3, "1"),
            Say("refund.failed", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        says=(Say("payment_intent.succeeded"), Say("charge.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        says=(Say("payment_intent.succeeded", 9),),
        status=Status.PARTIALLY_PAID,
        paid=9,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("payment_intent.processing"), Say("payment_intent.succeeded", after_s=AT_ONCE_S)),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("payment_intent.succeeded"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)

ALIPAY: Final = (
    Template(
        name="paid",
        weight=40,
        says=(Say("WAIT_BUYER_PAY"), Say("TRADE_SUCCESS", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and too old for a refund",
        weight=6,
        says=(Say("TRADE_SUCCESS"), Say("TRADE_FINISHED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="at the till", weight=8, says=(Say("WAIT_BUYER_PAY"),), status=Status.PROCESSING),
    Template(
        name="never paid",
        weight=10,
        says=(Say("WAIT_BUYER_PAY"), Say("TRADE_CLOSED")),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=10,
        says=(Say("WAIT_BUYER_PAY"), Say("TRADE_SUCCESS"), Say("refunded", 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="two parts given back",
        weight=5,
        says=(Say("TRADE_SUCCESS"), Say("refunded", 3, "1"), Say("refunded", 7, "2")),  # totals, not parts
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=8,
        says=(Say("TRADE_SUCCESS"), Say("refunded", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        says=(Say("TRADE_SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("TRADE_SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)

WECHATPAY: Final = (
    Template(name="paid", weight=40, says=(Say("TRANSACTION.SUCCESS"),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(
        name="a part given back",
        weight=10,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.SUCCESS", 4, "1"), Say("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=5,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.ABNORMAL", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.CLOSED", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        says=(Say("TRANSACTION.SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("TRANSACTION.SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)

TEMPLATES: Final = {"stripe": STRIPE, "alipay": ALIPAY, "wechatpay": WECHATPAY}
CURRENCIES: Final = {"stripe": STRIPE_CURRENCIES, "alipay": YUAN, "wechatpay": YUAN}
SILENT: Final = frozenset({"payment_intent.created"})  # accepted, and of no consequence
