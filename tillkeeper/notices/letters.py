"""Holds the texts of mails to payers, in both languages.  mail.py fills in what stands in braces."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

from tillkeeper.domain.failures import Words
from tillkeeper.domain.statuses import STATUS_ZH, Status
from tillkeeper.domain.topics import Topic

Language: TypeAlias = Literal["zh-CN", "en"]
Tone: TypeAlias = Literal["good", "wait", "bad", "calm"]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail: the figure is what the payer looks for first; the rows are the facts below it, in order."""

    tone: Tone
    subject: Words
    headline: Words
    figure: str | None
    body: tuple[Words, ...]
    warning: Words | None = None  # set apart, so that nobody overlooks it
    after: tuple[Words, ...] = ()
    button: Words | None = None
    rows: tuple[str, ...]


STATUS_WORDS: Final[Mapping[Status, Words]] = MappingProxyType(
    {
        status: Words(STATUS_ZH[status], en)
        for status, en in {
            Status.UNPAID: "Unpaid",
            Status.PROCESSING: "Processing",
            Status.PAID: "Paid",
            Status.FAILED: "Payment failed",
            Status.PARTIALLY_PAID: "Partly paid",
            Status.REFUNDING: "Refund in progress",
            Status.PARTIALLY_REFUNDED: "Partly refunded",
            Status.REFUNDED: "Refunded",
        }.items()
    }
)

ROW_WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "order": Words("订单号", "Order"),
        "amount": Words("订单金额", "Order total"),
        "paid": Words("已付金额", "Paid"),
        "remaining": Words("待付金额", "Still to pay"),
        "refunding": Words("退款处理中", "Being refunded"),
        "refunded": Words("已退金额", "Refunded"),
        "refund_amount": Words("未退成金额", "Not refunded yet"),
        "kept": Words("退款后实付", "Paid after refunds"),
        "due_amount": Words("本期应付", "This instalment"),
        "due": Words("应付日期", "Due on"),
        "expires": Words("支付截止", "Pay by"),
    }
)

LETTERS: Final[Mapping[Topic, Letter]] = MappingProxyType(
    {
        Topic.PROCESSING: Letter(
            tone="wait",
            subject=Words(
                "订单 {order} 支付处理中，请勿重复支付", "Order {order}: payment in progress, please do not pay again"
            ),
            headline=Words("您的付款正在处理中", "Your payment is being processed"),
            figure="amount",
            body=(
                Words(
                    "银行或支付机构尚未确认订单 {order} 的付款结果。通常几分钟内会有结果，有时需要更久。",
                    "The bank or payment service has not confirmed your payment for order {order} yet. This usually "
                    "takes a few minutes, sometimes longer.",
                ),
            ),
            warning=Words(
                "请不要再次支付。款项可能已在途中，重复支付会造成重复扣款。",
                "Please do not pay again. Your money may already be on its way, and you could be charged twice.",
            ),
            after=(
                Words(
                    "我们会持续查询，有结果后立即通知您。您无需任何操作。",
                    "We keep asking, and write to you as soon as the result is known. There is nothing you need to do.",
                ),
            ),
            rows=("order", "amount"),
        ),
        Topic.PAID: Letter(
            tone="good",
            subject=Words("订单 {order} 已支付成功", "Order {order}: payment received"),
            headline=Words("支付成功，谢谢您", "Thank you, your payment has arrived"),
            figure="paid",
            body=(
                Words(
                    "我们已收到订单 {order} 的款项，订单已付清。",
                    "We have received your payment for order {order}. Nothing more is due.",
                ),
            ),
            rows=("order", "amount", "paid"),
        ),
        Topic.PARTIALLY_PAID: Letter(
            tone="calm",
            subject=Words("订单 {order} 已收到部分款项", "Order {order}: part of your payment received"),
            headline=Words("我们已收到部分款项", "Part of your payment has arrived"),
            figure="paid",
            body=(
                Words(
                    "订单 {order} 已收到 {paid}，还需支付 {remaining}。",
                    "We have received {paid} for order {order}. {remaining} is still to be paid.",
                ),
            ),
            button=Words("支付剩余款项", "Pay the rest"),
            rows=("order", "amount", "paid", "remaining", "expires"),
        ),
        Topic.FAILED: Letter(
            tone="bad",
            subject=Words("订单 {order} 支付未成功", "Order {order}: your payment did not go through"),
            headline=Words("您的付款没有成功", "Your payment did not go through"),
            figure="remaining",
            body=(
                Words(
                    "我们没有收到订单 {order} 的这笔款项。如果您的账户显示已扣款，请先不要再次支付，联系我们核实。",
                    "We have not received this payment for order {order}. If your account shows a charge all the same, "
                    "contact us before you pay again.",
                ),
            ),
            button=Words("重新支付", "Pay again"),
            rows=("order", "amount", "paid", "expires"),
        ),
        Topic.REMINDER: Letter(
            tone="calm",
            subject=Words("订单 {order} 待支付", "Order {order} is waiting for your payment"),
            headline=Words("您的订单还未支付", "Your order is waiting for your payment"),
            figure="remaining",
            body=(
                Words(
                    "订单 {order} 还需支付 {remaining}。如果您刚刚已经付款，请忽略此邮件，无需再次支付。",
                    "{remaining} is still to be paid for order {order}. If you have just paid, ignore this mail and "
                    "do not pay again.",
                ),
            ),
            button=Words("去支付", "Pay now"),
            rows=("order", "amount", "paid", "remaining", "expires"),
        ),
        Topic.INSTALMENT_DUE: Letter(
            tone="calm",
            subject=Words("订单 {order} 有一期款项待付", "Order {order}: an instalment is due"),
            headline=Words("本期款项即将到期", "Your next instalment is due"),
            figure="due_amount",
            body=(
                Words(
                    "按照分期计划，订单 {order} 的本期款项为 {due_amount}，应付日期为 {due}。",
                    "By the plan for order {order}, an instalment of {due_amount} is due on {due}.",
                ),
            ),
            button=Words("支付本期款项", "Pay this instalment"),
            rows=("order", "due_amount", "due", "amount", "paid", "remaining"),
        ),
        Topic.PAID_AFTER_CLOSING: Letter(
            tone="wait",
            subject=Words(
                "订单 {order} 关闭后收到您的款项", "Order {order}: your payment arrived after the order was closed"
            ),
            headline=Words("您的款项在订单关闭后到账", "Your payment arrived after the order was closed"),
            figure="paid",
            body=(
                Words(
                    "我们已收到您的款项，但订单 {order} 在此之前已经关闭。我们会核实并与您联系。",
                    "We have your money, but order {order} had been closed before it came. We are looking into it and "
                    "will come back to you.",
                ),
            ),
            warning=Words("请不要再为此订单付款。", "Please do not pay for this order any more."),
            after=(Words("您无需任何操作。", "There is nothing you need to do."),),
            rows=("order", "amount", "paid", "refunded"),
        ),
        Topic.REFUNDING: Letter(
            tone="wait",
            subject=Words("订单 {order} 退款处理中", "Order {order}: your refund is on its way"),
            headline=Words("您的退款正在处理中", "Your refund is on its way"),
            figure="refunding",
            body=(
                Words(
                    "订单 {order} 的退款已发起，将退回您付款时使用的卡或账户。到账时间取决于银行，可能需要数个工作日。",
                    "A refund for order {order} is under way, to the card or account that you paid with. Depending on "
                    "the bank, it can take some working days to arrive.",
                ),
            ),
            after=(Words("退款完成后我们会通知您。", "We will write to you when it is complete."),),
            rows=("order", "paid", "refunding", "refunded"),
        ),
        Topic.REFUNDED: Letter(
            tone="good",
            subject=Words("订单 {order} 已全额退款", "Order {order}: your refund is complete"),
            headline=Words("退款已完成", "Your refund is complete"),
            figure="refunded",
            body=(
                Words(
                    "订单 {order} 的款项已全部退回您付款时使用的卡或账户。银行入账可能稍有延迟。",
                    "All that was paid for order {order} has been refunded to the card or account that you paid with. "
                    "Your bank may take a little longer to show it.",
                ),
            ),
            rows=("order", "paid", "refunded"),
        ),
        Topic.PARTIALLY_REFUNDED: Letter(
            tone="good",
            subject=Words("订单 {order} 已部分退款", "Order {order}: part of your payment has been refunded"),
            headline=Words("部分退款已完成", "Part of your payment has been refunded"),
            figure="refunded",
            body=(
                Words(
                    "订单 {order} 已退回 {refunded}，剩余 {kept} 未退。"
                    "款项退回您付款时使用的卡或账户，银行入账可能稍有延迟。",
                    "{refunded} of your payment for order {order} has been refunded to the card or account that you "
                    "paid with; {kept} remains paid. Your bank may take a little longer to show it.",
                ),
            ),
            rows=("order", "paid", "refunded", "kept"),
        ),
        Topic.REFUND_FAILED: Letter(
            tone="wait",
            subject=Words("订单 {order} 退款暂未成功", "Order {order}: your refund has not gone through yet"),
            headline=Words("您的退款暂未成功", "Your refund has not gone through yet"),
            figure=None,
            body=(
                Words(
                    "银行或支付机构未能完成订单 {order} 的退款，款项尚未退到您的账户。我们已知悉，正在处理。",
                    "The bank or payment service could not carry out a refund for order {order}, so that this money "
                    "has not reached you. We know of it, and are taking care of it.",
                ),
            ),
            after=(Words("您无需任何操作。", "There is nothing you need to do."),),
            rows=("order", "paid", "refund_amount", "refunded"),
        ),
        Topic.EXPIRED: Letter(
            tone="calm",
            subject=Words("订单 {order} 已关闭", "Order {order} has expired"),
            headline=Words("订单已超时关闭", "Your order has expired"),
            figure=None,
            body=(
                Words(
                    "订单 {order} 未在规定时间内付清，已经关闭。如仍需购买，请重新下单。",
                    "Order {order} was not paid in full in time and has been closed. If you still want to buy, "
                    "please place a new order.",
                ),
            ),
            warning=Words(
                "请不要再为此订单付款。如果您已被扣款，请联系我们。",
                "Please do not pay for this order any more. If you were charged, contact us.",
            ),
            rows=("order", "amount", "paid"),
        ),
    }
)

FRAME_WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "reason": Words("原因", "What happened"),
        "steps": Words("您可以这样做", "What you can do"),
        "ways": Words("其他支付方式：{ways}。", "Other ways to pay: {ways}."),
        "ways_join": Words("、", ", "),
        "sentences": Words("", " "),
        "or_open": Words(
            "按钮无法使用时，请复制此链接到浏览器：", "If the button does not work, copy this link into your browser:"
        ),
        "other_way_button": Words("换一种方式支付", "Choose another way to pay"),
        "support": Words("有疑问请联系：", "Questions? Contact "),
        "automatic": Words(
            "此邮件由系统自动发送。我们不会在邮件中索要您的密码、卡号或验证码。",
            "This is an automatic message. We never ask for your password, card number or one-time code by mail.",
        ),
    }
)
