"""Lists thirteen classes of payment failures, to which every gateway's codes are mapped, with advice for the payer.

One rule stands above the table: a suspicion of fraud gets the same words as an unknown reason.  Words of its own,
however mild, would tell a thief which card is burnt, and an honest payer that they are a suspect.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec


class FailureClass(StrEnum):
    """The classes of `docs/failures.md`; each has its own advice to payer and staff."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"
    NETWORK_TIMEOUT = "network_timeout"
    BANK_VERIFICATION_FAILED = "bank_verification_failed"
    CARD_EXPIRED_OR_INVALID = "card_expired_or_invalid"
    ACCOUNT_FROZEN = "account_frozen"
    METHOD_UNAVAILABLE = "method_unavailable"
    USER_CANCELLED = "user_cancelled"
    EXPIRED_UNPAID = "expired_unpaid"
    COUPON_CONFLICT = "coupon_conflict"
    SUSPECTED_FRAUD = "suspected_fraud"
    GATEWAY_FAULT = "gateway_fault"
    UNKNOWN = "unknown"


class RetryAdvice(StrEnum):
    """Whether the payer should try again."""

    NOW = "now"  # the same way, at once
    LATER = "later"  # the same way, after a while
    AFTER_FIX = "after_fix"  # the same way, once the payer has put right what the steps name
    OTHER_WAY = "other_way"  # only in another way; the same one would fail again


class Method(StrEnum):
    """Other payment methods that are worth naming."""

    OTHER_CARD = "other_card"
    WALLET = "wallet"
    BANK_TRANSFER = "bank_transfer"


class Words(msgspec.Struct, frozen=True):
    """A text in the two languages of payers."""

    zh: str
    en: str


class Guidance(msgspec.Struct, frozen=True, kw_only=True):
    """The advice for one class: steps in the order in which to take them, and the best alternative first."""

    retry: RetryAdvice
    reason: Words
    steps: tuple[Words, ...]
    alternatives: tuple[Method, ...]


RETRY_WORDS: Final[Mapping[RetryAdvice, Words]] = MappingProxyType(
    {
        RetryAdvice.NOW: Words("可以立即重新支付。", "You can try again right away."),
        RetryAdvice.LATER: Words("请过几分钟再试。", "Please try again in a few minutes."),
        RetryAdvice.AFTER_FIX: Words(
            "完成以下步骤后即可重新支付。", "You can try again once the steps below are done."
        ),
        RetryAdvice.OTHER_WAY: Words(
            "再次使用同一方式很可能仍会失败，请换一种方式支付。",
            "The same way is likely to fail again. Please pay in another way.",
        ),
    }
)

METHOD_WORDS: Final[Mapping[Method, Words]] = MappingProxyType(
    {
        Method.OTHER_CARD: Words("另一张银行卡", "another card"),
        Method.WALLET: Words("电子钱包（支付宝、微信支付等）", "a digital wallet (Alipay, WeChat Pay and the like)"),
        Method.BANK_TRANSFER: Words("银行转账", "a bank transfer"),
    }
)

_NO_REASON: Final = Guidance(
    retry=RetryAdvice.OTHER_WAY,
    reason=Words("银行或支付机构未能完成这笔付款。", "The bank or payment service could not complete this payment."),
    steps=(
        Words("换一种方式支付。", "Pay in another way."),
        Words(
            "如需了解详情，请联系您的发卡行或支付机构。",
            "If you would like to know more, contact the bank or service that you paid with.",
        ),
    ),
    alternatives=(Method.OTHER_CARD, Method.WALLET, Method.BANK_TRANSFER),
)

GUIDANCE: Final[Mapping[FailureClass, Guidance]] = MappingProxyType(
    {
        FailureClass.INSUFFICIENT_FUNDS: Guidance(
            retry=RetryAdvice.AFTER_FIX,
            reason=Words("卡或账户的可用余额不足。", "The card or account did not have enough money available."),
            steps=(
                Words("查看卡或账户的可用余额。", "Check what is available on the card or account."),
                Words(
                    "充值后重新支付，或改用其他账户。", "Top it up and pay again, or pay from another card or account."
                ),
            ),
            alternatives=(Method.OTHER_CARD, Method.WALLET, Method.BANK_TRANSFER),
        ),
        FailureClass.LIMIT_EXCEEDED: Guidance(
            retry=RetryAdvice.AFTER_FIX,
            reason=Words(
                "超出了单笔、单日或次数限额。", "A limit on the amount or on the number of payments was reached."
            ),
            steps=(
                Words(
                    "在银行或钱包的应用中查看并调整支付限额。",
                    "See your limits in your bank's or wallet's app, and raise them there.",
                ),
                Words(
                    "或等到限额恢复后再支付，通常在次日。", "Or wait until the limit is renewed, usually the next day."
                ),
            ),
            alternatives=(Method.OTHER_CARD, Method.BANK_TRANSFER, Method.WALLET),
        ),
        FailureClass.NETWORK_TIMEOUT: Guidance(
            retry=RetryAdvice.LATER,
            reason=Words("银行未能及时响应。", "The bank did not answer in time."),
            steps=(
                Words(
                    "先确认账户没有扣款；如已扣款，请不要再次支付，直接联系我们。",
                    "Check first that your account was not charged. If it was, do not pay again, and contact us.",
                ),
                Words("几分钟后重新支付。", "Pay again in a few minutes."),
            ),
            alternatives=(Method.WALLET, Method.OTHER_CARD),
        ),
        FailureClass.BANK_VERIFICATION_FAILED: Guidance(
            retry=RetryAdvice.NOW,
            reason=Words("银行的身份验证没有通过。", "Your bank's check of your identity was not completed."),
            steps=(
                Words(
                    "准备好手机，以便接收验证码或在银行应用中确认。",
                    "Have your phone at hand for the one-time code or for confirming in your bank's app.",
                ),
                Words("确认银行登记的手机号码正确。", "Make sure that the bank has your present phone number."),
                Words(
                    "重新支付，并在页面提示的时间内完成验证。", "Pay again, and finish the check before it times out."
                ),
            ),
            alternatives=(Method.OTHER_CARD, Method.WALLET),
        ),
        FailureClass.CARD_EXPIRED_OR_INVALID: Guidance(
            retry=RetryAdvice.AFTER_FIX,
            reason=Words(
                "卡片信息有误，或卡片已过有效期。", "The card's details were not right, or the card has expired."
            ),
            steps=(
                Words("核对卡号、有效期和安全码。", "Check the card's number, expiry date and security code."),
                Words("如卡片已过期，请使用新卡。", "If the card has expired, use its successor."),
            ),
            alternatives=(Method.OTHER_CARD, Method.WALLET, Method.BANK_TRANSFER),
        ),
        FailureClass.ACCOUNT_FROZEN: Guidance(
            retry=RetryAdvice.OTHER_WAY,
            reason=Words(
                "该卡或账户目前无法用于支付。", "This card or account cannot be used for payments at present."
            ),
            steps=(
                Words("改用其他卡或账户支付。", "Pay from another card or account."),
                Words(
                    "如需恢复使用，请联系您的银行或支付机构。",
                    "To use it again, contact your bank or payment service.",
                ),
            ),
            alternatives=(Method.OTHER_CARD, Method.WALLET, Method.BANK_TRANSFER),
        ),
        FailureClass.METHOD_UNAVAILABLE: Guidance(
            retry=RetryAdvice.OTHER_WAY,
            reason=Words("该支付方式不支持这笔付款。", "This way of paying cannot be used for this payment."),
            steps=(Words("换一种支付方式。", "Choose another way to pay."),),
            alternatives=(Method.WALLET, Method.OTHER_CARD, Method.BANK_TRANSFER),
        ),
        FailureClass.USER_CANCELLED: Guidance(
            retry=RetryAdvice.NOW,
            reason=Words("付款已取消。", "The payment was cancelled."),
            steps=(Words("如果仍想购买，请重新支付。", "If you still want to buy, pay again."),),
            alternatives=(Method.WALLET, Method.OTHER_CARD),
        ),
        FailureClass.EXPIRED_UNPAID: Guidance(
            retry=RetryAdvice.NOW,
            reason=Words("付款没有在规定时间内完成。", "The payment was not finished within its time."),
            steps=(
                Words(
                    "重新支付；如订单已关闭，请重新下单。", "Pay again. If the order has been closed, place a new one."
                ),
            ),
            alternatives=(Method.WALLET, Method.OTHER_CARD),
        ),
        FailureClass.COUPON_CONFLICT: Guidance(
            retry=RetryAdvice.AFTER_FIX,
            reason=Words(
                "优惠券或折扣不适用于这笔付款，或已被使用。",
                "A coupon or discount does not apply to this payment, or is used up.",
            ),
            steps=(
                Words("查看优惠券的使用条件和有效期。", "Check the coupon's conditions and dates."),
                Words("不使用该优惠，重新支付。", "Pay again without it."),
            ),
            alternatives=(Method.WALLET, Method.OTHER_CARD),
        ),
        FailureClass.SUSPECTED_FRAUD: _NO_REASON,
        FailureClass.GATEWAY_FAULT: Guidance(
            retry=RetryAdvice.LATER,
            reason=Words(
                "支付系统暂时出现故障，与您无关。", "The payment system had a fault. It was nothing that you did."
            ),
            steps=(Words("几分钟后重新支付。", "Pay again in a few minutes."),),
            alternatives=(Method.WALLET, Method.OTHER_CARD, Method.BANK_TRANSFER),
        ),
        FailureClass.UNKNOWN: _NO_REASON,
    }
)


def guidance_for(failure: str | None) -> Guidance:
    """Returns the advice for a class by its name, and that of `unknown` for a name that is not known."""
    try:
        return GUIDANCE[FailureClass(failure)] if failure else _NO_REASON
    except ValueError:
        return _NO_REASON
