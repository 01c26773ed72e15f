"""Alipay's gateway.do as far as Tillkeeper asks it: trade query and refund query.

Common parameters stand in the query or in the form, as the SDKs put them.  The answer's signature covers the raw text
of its `..._response` value.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.signing_alipay import SHANGHAI, alipay_signature, yuan
from sandbox.truth.books import Known, PaymentState, RefundState
from sandbox.truth.ledger import Ledger

if TYPE_CHECKING:  # a play imports its API
    from sandbox.plays.alipay import AlipayVoice

SUCCESS: Final = {"code": "10000", "msg": "Success"}
NOTHING_PAID: Final = dict.fromkeys(("buyer_pay_amount", "invoice_amount", "point_amount", "receipt_amount"), "0.00")
TRADE_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.PENDING: "WAIT_BUYER_PAY",
    PaymentState.SUCCEEDED: "TRADE_SUCCESS",
    PaymentState.CANCELLED: "TRADE_CLOSED",
}

Content = dict[str, Any]


class AlipayApi:
    """One app's."""

    def __init__(self, voice: "AlipayVoice", ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger
        self._forger: RSAPrivateKey | None = None
        self._methods: dict[str, Callable[[Content, datetime], Told]] = {
            "alipay.trade.query": self._trade,
            "alipay.trade.fastpay.refund.query": self._refund,
        }

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query.  Errors are 200 as well, and say so in their code."""
        fields = _fields(put)
        method = fields.get("method", "")
        if fields.get("app_id") != self._voice.app_id:
            return _told("error", _invalid("isv.invalid-app-id", "无效的AppID参数"), about="nothing")
        if not self._is_signed(fields):
            return _told(method, _invalid("isv.invalid-signature", "无效签名"), about="nothing")
        if method not in self._methods:
            return _told("error", _invalid("isv.invalid-method", "不存在的方法名"), about="nothing")
        try:
            content = json.loads(fields.get("biz_content", ""))
        except ValueError:
            content = None
        if not isinstance(content, dict):
            return _told(method, _invalid("isv.invalid-parameter", "参数无效"), about="nothing")
        return self._methods[method](content, knows_at)

    def broken(self, status: int, put: Put) -> Told:
        """Alipay answers 200 and says in the code that it is busy."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return _told("error", _invalid("isv.app-call-limited", "应用调用次数超限"), about="nothing")
        busy = {
            "code": "20000",
            "msg": "Service Currently Unavailable",
            "sub_code": "isp.unknow-error",  # their spelling
            "sub_msg": "系统繁忙",
        }
        return _told(_fields(put).get("method", "error"), busy, about="nothing")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Signed over the value, just as it stands in the body.  Some errors Alipay does not sign."""
        headers = {"Content-Type": "application/json;charset=utf-8", "Date": http_date(now), **told.headers}
        name, _, value = told.body.partition(b"\n")
        if name == b"error_response":
            return Sealed(status=told.status, headers=headers, body=b'{"error_response":%b}' % value)
        key = self._impostor() if forged else self._voice.private_key
        sign = alipay_signature(key, value).encode()
        return Sealed(status=told.status, headers=headers, body=b'{"%b":%b,"sign":"%b"}' % (name, value, sign))

    def _impostor(self) -> RSAPrivateKey:
        if self._forger is None:
            self._forger = generate_private_key(public_exponent=65537, key_size=2048)
        return self._forger

    def _is_signed(self, fields: Mapping[str, str]) -> bool:
        if fields.get("sign_type") != "RSA2":
            return False
        text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value)
        try:
            signature = b64decode(fields.get("sign", ""), validate=True)
            self._voice.app_key.public_key().verify(
                signature, text.encode(fields.get("charset", "utf-8")), PKCS1v15(), SHA256()
            )
        except (ValueError, LookupError, InvalidSignature):
            return False
        return True

    def _books(self, content: Content, knows_at: datetime) -> Known | None:
        """trade_no goes before out_trade_no.  Before the payer opens it there is no trade."""
        if trade_no := content.get("trade_no"):
            books = self._ledger.payment(self.account, str(trade_no), knows_at)
        else:
            books = self._ledger.payments_of_order(self.account, str(content.get("out_trade_no", "")), knows_at)
        return None if books is None or books.state is PaymentState.CREATED else books

    def _trade(self, content: Content, knows_at: datetime) -> Told:
        method, ref = "alipay.trade.query", str(content.get("trade_no") or content.get("out_trade_no") or "")
        books = self._books(content, knows_at)
        if books is None:
            missing = _business("ACQ.TRADE_NOT_EXIST", "交易不存在") | NOTHING_PAID
            if "out_trade_no" in content:
                missing["out_trade_no"] = str(content["out_trade_no"])
            return _told(method, missing, about="payment", ref=ref, order_ref=str(content.get("out_trade_no", "")))
        status = _trade_status(books)
        amounts = dict.fromkeys(NOTHING_PAID, yuan(books.captured)) | {"point_amount": "0.00"}
        told = {
            **SUCCESS,
            "buyer_logon_id": "138****0000",
            "buyer_user_id": "2088102175953034",
            "out_trade_no": books.story.order_ref,
            "send_pay_date": None if books.paid_at is None else _local(books.paid_at),
            "total_amount": yuan(books.captured or books.story.amount),
            "trade_no": books.story.payment_ref,
            "trade_status": status,
            **amounts,
        }
        told = {name: value for name, value in told.items() if value is not None}
        return _told(method, told, about="payment", ref=ref, order_ref=books.story.order_ref, said=status)

    def _refund(self, content: Content, knows_at: datetime) -> Told:
        """A refund that is not done yet, or that never was, is told by the absence of refund_status alone."""
        method, ref = "alipay.trade.fastpay.refund.query", str(content.get("out_request_no", ""))
        books = self._books(content, knows_at)
        if books is None:
            missing = _business("ACQ.TRADE_NOT_EXIST", "交易不存在")
            return _told(method, missing, about="refund", ref=ref, order_ref=str(content.get("out_trade_no", "")))
        refund = books.refund(ref)
        told: Content = dict(SUCCESS)
        if refund is not None and refund.state is RefundState.SUCCEEDED:
            told |= {
                "out_request_no": ref,
                "out_trade_no": books.story.order_ref,
                "refund_amount": yuan(refund.amount),
                "refund_status": "REFUND_SUCCESS",
                "total_amount": yuan(books.captured),
                "trade_no": books.story.payment_ref,
            }
            if "gmt_refund_pay" in (content.get("query_options") or ()):
                told["gmt_refund_pay"] = _local(refund.at)
        said = told.get("refund_status", "no refund_status")
        return _told(method, told, about="refund", ref=ref, order_ref=books.story.order_ref, said=said)


def _fields(put: Put) -> dict[str, str]:
    """Query and form, as one."""
    fields = dict(put.query)
    body = put.body.decode(errors="replace")
    return fields | dict(parse_qsl(body, keep_blank_values=True, encoding=fields.get("charset", "utf-8")))


def _trade_status(books: Known) -> str:
    """A trade that was given back whole is closed, and one that is too old to be refunded is finished."""
    if books.state is PaymentState.SUCCEEDED and books.refunded >= books.captured:
        return "TRADE_CLOSED"
    return "TRADE_FINISHED" if books.word == "TRADE_FINISHED" else TRADE_STATUSES[books.state]


def _business(sub_code: str, sub_msg: str) -> Content:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": sub_msg}


def _invalid(sub_code: str, sub_msg: str) -> Content:
    return {"code": "40002", "msg": "Invalid Arguments", "sub_code": sub_code, "sub_msg": sub_msg}


def _told(method: str, value: Content, *, about: str, ref: str = "", order_ref: str = "", said: str = "") -> Told:
    """The answer's name and value, a line each, until it is sealed."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    name = f"{method.replace('.', '_')}_response".encode()
    return Told(
        body=name + b"\n" + text,
        about=about,
        ref=ref,
        order_ref=order_ref,
        said=said or str(value.get("sub_code", value["code"])),
    )


def _local(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
