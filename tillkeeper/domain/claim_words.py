"""Says the answer to "the customer says they paid": to staff in one sentence, and to the customer in a text to send.

What a customer is told holds nothing personal, and promises no money that is not there.  While anything is uncertain it
says not to pay again.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tillkeeper.domain.failures import Words
from tillkeeper.domain.money import EXPONENTS, format_minor
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.payment_claim import ClaimAnswer, ClaimSign, ClaimVerdict

HEADLINES: Final[Mapping[ClaimVerdict, Words]] = MappingProxyType(
    {
        ClaimVerdict.PAID_HERE: Words("已在本系统到账。", "Paid here."),
        ClaimVerdict.TAKING_OVER: Words(
            "渠道已收到款项，我们正在入账。", "The gateway has it, and we are taking it over."
        ),
        ClaimVerdict.WAITS_ELSEWHERE: Words("款项挂在另一个编号下。", "Money waits under another reference."),
        ClaimVerdict.WRONG_MONEY: Words("金额、币种或账户不符。", "The amount, the currency or the account is wrong."),
        ClaimVerdict.UNDER_WAY: Words("有一笔付款正在进行。", "A payment is under way."),
        ClaimVerdict.NOT_KNOWN: Words("目前无法确定。", "It is not known yet."),
        ClaimVerdict.NOT_PAID: Words("没有付款：渠道刚刚确认。", "Not paid, as its gateways have just said."),
    }
)

_PAID_BEYOND: Final = Words("已在本系统到账，且多于应付金额。", "Paid here, and more than is due.")

SIGN_WORDS: Final[Mapping[ClaimSign, Words]] = MappingProxyType(
    {
        ClaimSign.CAPTURED: Words("已到账", "came in"),
        ClaimSign.GIVEN_BACK: Words("已退回或正在退回", "went back, or is on its way back"),
        ClaimSign.TOO_MUCH: Words("多付，尚未退回", "is more than is due, and was not given back"),
        ClaimSign.PARKED: Words("有一条事件未能入账", "an event of it could not be applied"),
        ClaimSign.HELD_BACK: Words(
            "账户已暂停入账，这条消息等待决定", "its account is paused, and this waits for two people's decision"
        ),
        ClaimSign.BEING_FETCHED: Words("正在向渠道查询这笔付款", "the gateway is being asked about this payment"),
        ClaimSign.IMPLIED: Words("已有退款或争议，说明曾经付款成功", "a refund or dispute shows that it was paid"),
        ClaimSign.WAITS: Words("款项挂在相似的编号下", "waits under a reference like this one"),
        ClaimSign.MAY_WAIT: Words("有金额与日期相同的待认领款项", "waits, with the same amount and days"),
        ClaimSign.TOO_LITTLE: Words("到账金额不足", "came in, which is too little"),
        ClaimSign.WRONG_CURRENCY: Words("币种与订单不符", "came in another currency"),
        ClaimSign.WRONG_ACCOUNT: Words("付到了订单未指定的账户", "came to an account where the order is not expected"),
        ClaimSign.CONTRADICTED: Words("这笔付款指向多个订单", "is named with several orders"),
        ClaimSign.PENDING: Words("付款尚未完成", "is not finished"),
        ClaimSign.HELD: Words("已授权，尚未扣款", "is authorized, and not captured"),
        ClaimSign.PAUSED: Words(
            "账户已暂停入账，新消息暂不处理", "the account is paused: what comes is held and not applied"
        ),
        ClaimSign.SILENT: Words("渠道账户很久没有消息", "the account has been silent"),
        ClaimSign.UNANSWERING: Words("渠道没有回应查询", "the gateway does not answer"),
        ClaimSign.CANNOT_BE_ASKED: Words(
            "无法按订单号向该渠道查询", "this gateway cannot be asked by the order's reference"
        ),
        ClaimSign.NO_ANSWER: Words(
            "上次查询没有得到回应，将再次查询", "the last query had no answer, and is put again"
        ),
        ClaimSign.NOT_ASKED: Words("最近没有向渠道查询过", "its gateways were not asked lately"),
        ClaimSign.ANSWERED: Words("渠道回答：没有这笔付款", "its gateways answered, and know of no payment"),
        ClaimSign.FAILED: Words("付款失败或已取消", "failed or was called off"),
    }
)

_DO_NOT_PAY_AGAIN: Final = Words("在此期间请不要再次付款。", "Please do not pay again meanwhile.")
# {order} and {amount} are the only things that are filled in.
SAY: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "paid_here": Words(
            "您好，订单 {order} 的款项 {amount} 我们已收到，您无需再做任何操作。",
            "Hello, we have received {amount} for order {order}. There is nothing more for you to do.",
        ),
        "given_back": Words(
            "您好，订单 {order} 的款项我们曾收到，其中 {amount} 已退回或正在退回，将按原支付方式退还。",
            "Hello, we did receive the payment for order {order}. Of it {amount} went back, or is on its way back, the "
            "way it was paid.",
        ),
        "too_much": Words(
            "您好，订单 {order} 的款项我们已收到，其中多付了 {amount}。多付的部分我们正在核对，并会与您联系，"
            "请不要再次付款。",
            "Hello, we have received the payment for order {order}, and {amount} more than is due. We are checking "
            "that and will contact you. Please do not pay again.",
        ),
        "taking_over": Words(
            "您好，支付渠道关于订单 {order} 的信息我们正在核对入账，完成后会通知您。" + _DO_NOT_PAY_AGAIN.zh,
            "Hello, we are entering what the payment service told us about order {order}, and will let you know when "
            "that is done. " + _DO_NOT_PAY_AGAIN.en,
        ),
        "waits_elsewhere": Words(
            "您好，我们看到一笔可能属于订单 {order} 的款项，正在核对，核对后会通知您。" + _DO_NOT_PAY_AGAIN.zh,
            "Hello, we see a payment that may belong to order {order}, and are checking it. We will let you know. "
            + _DO_NOT_PAY_AGAIN.en,
        ),
        "too_little": Words(
            "您好，订单 {order} 目前收到 {amount}，与应付金额不一致，我们正在核对，并会与您联系。",
            "Hello, {amount} has come in for order {order}, which is not all that is due. We are checking it and will "
            "contact you.",
        ),
        "wrong_money": Words(
            "您好，与订单 {order} 有关的一笔付款与订单信息不一致，我们正在核对，并会与您联系。" + _DO_NOT_PAY_AGAIN.zh,
            "Hello, a payment about order {order} does not match the order. We are checking it and will contact you. "
            + _DO_NOT_PAY_AGAIN.en,
        ),
        "under_way": Words(
            "您好，订单 {order} 有一笔付款正在处理，银行或支付渠道尚未给出结果。" + _DO_NOT_PAY_AGAIN.zh,
            "Hello, a payment for order {order} is being processed. The bank or payment service has not given a result "
            "yet. " + _DO_NOT_PAY_AGAIN.en,
        ),
        "not_known": Words(
            "您好，订单 {order} 的付款情况我们正在向支付渠道核实，有结果后会通知您。" + _DO_NOT_PAY_AGAIN.zh,
            "Hello, we are checking order {order} with the payment service, and will let you know. "
            + _DO_NOT_PAY_AGAIN.en,
        ),
        "not_paid": Words(
            "您好，支付渠道刚刚确认订单 {order} 没有成功的付款。如果您的账户已被扣款，请把付款凭证上的交易号发给我们，"
            "先不要再次付款。",
            "Hello, the payment service has just told us that it has no successful payment for order {order}. If your "
            "account was charged, please send us the transaction number on your receipt, and do not pay again first.",
        ),
    }
)


def headline(answer: ClaimAnswer) -> Words:
    """Returns the answer in one sentence."""
    return _PAID_BEYOND if has_too_much(answer) else HEADLINES[answer.verdict]


def has_too_much(answer: ClaimAnswer) -> bool:
    """Returns whether somebody must look at what was paid beyond what is due."""
    return any(each.sign is ClaimSign.TOO_MUCH for each in answer.because)


def say(order: OrderState, answer: ClaimAnswer) -> Words:
    """Returns what to tell the customer."""
    name, amount = _variant(order, answer)
    told = SAY[name]
    currency = order.order.currency
    sum_of = format_minor(amount, currency) if currency in EXPONENTS else f"{amount} {currency}"
    fields = {"order": order.order.order_ref, "amount": sum_of}
    return Words(told.zh.format(**fields), told.en.format(**fields))


def _variant(order: OrderState, answer: ClaimAnswer) -> tuple[str, int]:
    """Returns which text it is, with the amount in it."""
    signs = {each.sign: each for each in answer.because}
    summary = order.summary
    if beyond := signs.get(ClaimSign.TOO_MUCH):
        return "too_much", beyond.amount or 0
    if ClaimSign.GIVEN_BACK in signs:
        return "given_back", summary.refunded + summary.refunding
    if answer.verdict is ClaimVerdict.WRONG_MONEY and set(signs) == {ClaimSign.TOO_LITTLE}:
        return "too_little", order.covered
    return str(answer.verdict), order.covered
