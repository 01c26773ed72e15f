"""WeChat Pay's API v3 as far as Tillkeeper asks it: transactions by either number, and refunds.

A query is signed over method, path, time, nonce and body; answers are signed over time, nonce and body.
"""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.signing import (
    Json,
    WeChatPayKey,
    platform_certificate,
    rfc3339,
    wechatpay_certificates,
    wechatpay_refund_id,
    wechatpay_signed,
)
from sandbox.truth.books import Known, KnownRefund, PaymentState
from sandbox.truth.ledger import Ledger

if TYPE_CHECKING:  # a play imports its API
    from sandbox.plays.wechatpay import WeChatPayVoice

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
FRESH_S: Final = 300
_PAIR: Final = re.compile(r'(\w+)="([^"]*)"')

TRADE_STATES: Final[Mapping[PaymentState, tuple[str, str]]] = {
    PaymentState.CREATED: ("NOTPAY", "订单未支付"),
    PaymentState.PENDING: ("USERPAYING", "需要用户输入支付密码"),
    PaymentState.FAILED: ("PAYERROR", "支付失败(其他原因，如银行返回失败)"),
    PaymentState.CANCELLED: ("CLOSED", "订单已关闭"),
    PaymentState.SUCCEEDED: ("SUCCESS", "支付成功"),
}
REVOKED: Final = ("REVOKED", "订单已撤销")
PAY_FAIL: Final = ("PAY_FAIL", "扣款失败")
REFUNDED: Final = ("REFUND", "订单发生过退款，退款详情请查询退款单")
BANK: Final = "招商银行信用卡0403"


class WeChatPayApi:
    """One merchant's."""

    def __init__(self, voice: "WeChatPayVoice", ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger
        self._forger: WeChatPayKey | None = None

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:
        """One query."""
        if (problem := self._problem_with(put, now)) is not None:
            return _error(401, "SIGN_ERROR", problem, about="nothing")
        parts = [unquote(part) for part in put.path.split("/")[1:]]
        sub_mch_id, is_by_provider = self._voice.sub_mch_id, parts[:3] == ["v3", "pay", "partner"]
        if is_by_provider:
            del parts[2]
        match put.method, parts:
            case "GET", ["v3", "pay", "transactions", ("id" | "out-trade-no") as kind, ref]:
                merchant = put.first("sp_mchid" if is_by_provider else "mchid")
                if (merchant, put.first("sub_mchid") or None) != (self._voice.mch_id, sub_mch_id):
                    return _error(400, "PARAM_ERROR", "参数错误: mchid", about="payment", ref=ref)
                return self._transaction(kind, ref, knows_at)
            case "GET", ["v3", "certificates"]:
                certificate = platform_certificate(self._voice.key, now)
                body = wechatpay_certificates(self._voice.apiv3_key, [certificate])
                return Told(body=body, about="nothing", said="certificates")
            case "GET", ["v3", "refund", "domestic", "refunds", ref]:
                is_served = (put.first("sub_mchid") or None) == sub_mch_id
                return self._refund(ref if is_served else "", knows_at)
            case _:
                return _error(404, "RESOURCE_NOT_EXISTS", "请求的资源不存在", about="nothing")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """WeChat Pay's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return _error(429, "FREQUENCY_LIMITED", "频率超限", about="nothing")
        return _error(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用", about="nothing")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Errors are signed too."""
        headers, body = wechatpay_signed(self._impostor() if forged else self._voice.key, now, told.body)
        headers = {name: value for name, value in headers.items() if name != "User-Agent"}
        return Sealed(
            status=told.status,
            headers={**headers, "Content-Type": "application/json; charset=utf-8", "Date": http_date(now)},
            body=body,
        )

    def _impostor(self) -> WeChatPayKey:
        if self._forger is None:
            key = generate_private_key(public_exponent=65537, key_size=2048)
            self._forger = WeChatPayKey(self._voice.key.serial, key)
        return self._forger

    def _problem_with(self, put: Put, now: datetime) -> str | None:
        """Why the query is not the merchant's."""
        scheme, _, rest = put.headers.get("authorization", "").partition(" ")
        pairs = dict(_PAIR.findall(rest))
        if scheme != SCHEME or pairs.keys() != {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}:
            return "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
        if pairs["mchid"] != self._voice.mch_id or pairs["serial_no"] != self._voice.merchant_serial:
            return "商户号与证书序列号不匹配"
        if not pairs["timestamp"].isdigit() or abs(int(pairs["timestamp"]) - now.timestamp()) > FRESH_S:
            return "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
        lines = (put.method, put.target, pairs["timestamp"], pairs["nonce_str"], put.body.decode(errors="replace"))
        text = "".join(f"{line}\n" for line in lines)
        try:
            signature = b64decode(pairs["signature"], validate=True)
            self._voice.merchant_key.public_key().verify(signature, text.encode(), PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return "错误的签名，验签失败"
        return None

    def _transaction(self, kind: str, ref: str, knows_at: datetime) -> Told:
        """transaction_id exists from the payment on; before that only out_trade_no leads there."""
        if kind == "out-trade-no":
            books = self._ledger.payments_of_order(self.account, ref, knows_at)
        else:
            books = self._ledger.payment(self.account, ref, knows_at)
            if books is not None and books.paid_at is None:
                books = None
        if books is None:
            order_ref = ref if kind == "out-trade-no" else ""
            return _error(404, "ORDER_NOT_EXIST", "订单不存在", about="payment", ref=ref, order_ref=order_ref)
        state, description = _trade_state(books)
        story = books.story
        told = self._voice.transaction(
            story,
            amount=books.captured or story.amount,
            at=books.paid_at or books.at,
            trade_state=state,
            trade_state_desc=description,
        )
        if books.paid_at is None:
            told = {name: value for name, value in told.items() if name not in ONLY_WHEN_PAID}
        return _found(told, about="payment", ref=ref, order_ref=story.order_ref, said=state)

    def _refund(self, ref: str, knows_at: datetime) -> Told:
        """By the merchant's number alone."""
        books = self._ledger.payment_of_refund(self.account, ref, knows_at)
        refund = None if books is None else books.refund(ref)
        if books is None or refund is None:
            return _error(404, "RESOURCE_NOT_EXISTS", "退款单不存在", about="refund", ref=ref)
        told = _refund(books, refund)
        return _found(told, about="refund", ref=ref, order_ref=books.story.order_ref, said=told["status"])


ONLY_WHEN_PAID: Final = frozenset({"transaction_id", "trade_type", "bank_type", "success_time", "payer"})


def _trade_state(books: Known) -> tuple[str, str]:
    if books.refunds:
        return REFUNDED
    if books.word == "REVOKED":
        return REVOKED
    return PAY_FAIL if books.word == PAY_FAIL[0] else TRADE_STATES[books.state]


def _refund(books: Known, refund: KnownRefund) -> Json:
    story, status = books.story, refund.word.removeprefix("REFUND.")
    told: dict[str, Any] = {
        "refund_id": wechatpay_refund_id(refund.refund_ref),
        "out_refund_no": refund.refund_ref,
        "transaction_id": story.payment_ref,
        "out_trade_no": story.order_ref,
        "channel": "ORIGINAL",
        "user_received_account": BANK,
        "create_time": rfc3339(refund.asked_at),
        "status": status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": books.captured,
            "refund": refund.amount,
            "payer_total": books.captured,
            "payer_refund": refund.amount,
            "settlement_refund": refund.amount,
            "settlement_total": books.captured,
            "discount_refund": 0,
            "currency": "CNY",
        },
    }
    if status == "SUCCESS":
        told["success_time"] = rfc3339(refund.at)
    return told


def _found(told: Json, *, about: str, ref: str, order_ref: str, said: str) -> Told:
    return Told(body=_json(told), about=about, ref=ref, order_ref=order_ref, said=said)


def _error(status: int, code: str, message: str, *, about: str, ref: str = "", order_ref: str = "") -> Told:
    body = _json({"code": code, "message": message})
    return Told(status=status, body=body, about=about, ref=ref, order_ref=order_ref, said=code)


def _json(told: Json) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
