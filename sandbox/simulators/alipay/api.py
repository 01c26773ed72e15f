"""Simulates Alipay's gateway.do as far as Tillkeeper queries it: trade query and refund query.

Common parameters stand in the query or in the form, as the SDKs put them.  The answer's signature covers the raw text
of its `..._response` value."""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.formats import http_date
from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from tillkeeper.sandbox.simulators.alipay.objects import (
    local_time,
    yuan,
)
from tillkeeper.sandbox.simulators.alipay.signing import AlipaySigner, alipay_signature

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

    def __init__(self, signer: "AlipaySigner", ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)
        self._forger: RSAPrivateKey | None = None
        self._methods: dict[str, Callable[[Content, datetime], ApiResponse]] = {
            "alipay.trade.query": self._trade,
            "alipay.trade.fastpay.refund.query": self._refund,
        }

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query.  Errors are 200 as well, and say so in their code."""
        fields = _fields(request)
        method = fields.get("method", "")
        if fields.get("app_id") != self._signer.app_id:
            return _response("error", _invalid("isv.invalid-app-id", "无效的AppID参数"), about="nothing")
        if not self._is_signed(fields):
            return _response(method, _invalid("isv.invalid-signature", "无效签名"), about="nothing")
        if method not in self._methods:
            return _response("error", _invalid("isv.invalid-method", "不存在的方法名"), about="nothing")
        try:
            content = json.loads(fields.get("biz_content", ""))
        except ValueError:
            content = None
        if not isinstance(content, dict):
            return _response(method, _invalid("isv.invalid-parameter", "参数无效"), about="nothing")
        return self._methods[method](content, as_of)

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:
        """Alipay answers 200 and says in the code that it is busy."""
        if status == 429:  # noqa: PLR2004 - too many requests
            limited = {
                "code": "40005",
                "msg": "Call Limited",
                "sub_code": "isv.app-call-limited",
                "sub_msg": "应用调用次数超限",
            }
            return _response("error", limited, about="nothing")
        busy = {
            "code": "20000",
            "msg": "Service Currently Unavailable",
            "sub_code": "isp.unknow-error",  # their spelling
            "sub_msg": "系统繁忙",
        }
        return _response(_fields(request).get("method", "error"), busy, about="nothing")

    def signed(self, reply: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Signed over the value, just as it stands in the body.  Some errors Alipay does not sign."""
        headers = {"Content-Type": "application/json;charset=utf-8", "Date": http_date(now), **reply.headers}
        name, _, value = reply.body.partition(b"\n")
        if name == b"error_response":
            return SignedResponse(status=reply.status, headers=headers, body=b'{"error_response":%b}' % value)
        key = self._impostor() if forged else self._signer.private_key
        sign = alipay_signature(key, value).encode()
        return SignedResponse(status=reply.status, headers=headers, body=b'{"%b":%b,"sign":"%b"}' % (name, value, sign))

    def _impostor(self) -> RSAPrivateKey:
        if self._forger is None:
            self._forger = new_rsa_key()
        return self._forger

    def _is_signed(self, fields: Mapping[str, str]) -> bool:
        if fields.get("sign_type") != "RSA2":
            return False
        text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value)
        try:
            signature = b64decode(fields.get("sign", ""), validate=True)
            self._signer.app_key.public_key().verify(
                signature, text.encode(fields.get("charset", "utf-8")), PKCS1v15(), SHA256()
            )
        except (ValueError, LookupError, InvalidSignature):
            return False
        return True

    def _record(self, content: Content, as_of: datetime) -> PaymentRecord | None:
        """trade_no goes before out_trade_no.  Before the payer opens it there is no trade."""
        if trade_no := content.get("trade_no"):
            record = self._ledger.payment(str(trade_no), as_of)
        else:
            record = self._ledger.payment_of_order(str(content.get("out_trade_no", "")), as_of)
        return None if record is None or record.state is PaymentState.CREATED else record

    def _trade(self, content: Content, as_of: datetime) -> ApiResponse:
        method, ref = "alipay.trade.query", str(content.get("trade_no") or content.get("out_trade_no") or "")
        record = self._record(content, as_of)
        if record is None:
            missing = _business("ACQ.TRADE_NOT_EXIST", "交易不存在") | NOTHING_PAID
            if "out_trade_no" in content:
                missing["out_trade_no"] = str(content["out_trade_no"])
            return _response(method, missing, about="payment", ref=ref, order_ref=str(content.get("out_trade_no", "")))
        status = _trade_status(record)
        amounts = dict.fromkeys(NOTHING_PAID, yuan(record.captured)) | {"point_amount": "0.00"}
        reply = {
            **SUCCESS,
            "buyer_logon_id": "138****0000",
            "buyer_user_id": "2088102175953034",
            "out_trade_no": record.story.order_ref,
            "send_pay_date": None if record.paid_at is None else local_time(record.paid_at),
            "total_amount": yuan(record.captured or record.story.amount),
            "trade_no": record.story.payment_ref,
            "trade_status": status,
            **amounts,
        }
        reply = {name: value for name, value in reply.items() if value is not None}
        return _response(method, reply, about="payment", ref=ref, order_ref=record.story.order_ref, summary=status)

    def _refund(self, content: Content, as_of: datetime) -> ApiResponse:
        """A refund that is not done yet, or that never was, is told by the absence of refund_status alone."""
        method, ref = "alipay.trade.fastpay.refund.query", str(content.get("out_request_no", ""))
        record = self._record(content, as_of)
        if record is None:
            missing = _business("ACQ.TRADE_NOT_EXIST", "交易不存在")
            return _response(method, missing, about="refund", ref=ref, order_ref=str(content.get("out_trade_no", "")))
        refund = record.refund(ref)
        reply: Content = dict(SUCCESS)
        if refund is not None and refund.state is RefundState.SUCCEEDED:
            reply |= {
                "out_request_no": ref,
                "out_trade_no": record.story.order_ref,
                "refund_amount": yuan(refund.amount),
                "refund_status": "REFUND_SUCCESS",
                "total_amount": yuan(record.captured),
                "trade_no": record.story.payment_ref,
            }
            if "gmt_refund_pay" in (content.get("query_options") or ()):
                reply["gmt_refund_pay"] = local_time(refund.at)
        summary = reply.get("refund_status", "no refund_status")
        return _response(method, reply, about="refund", ref=ref, order_ref=record.story.order_ref, summary=summary)


def _fields(request: ApiRequest) -> dict[str, str]:
    """Query and form, as one."""
    fields = dict(request.query)
    body = request.body.decode(errors="replace")
    return fields | dict(parse_qsl(body, keep_blank_values=True, encoding=fields.get("charset", "utf-8")))


def _trade_status(record: PaymentRecord) -> str:
    """A trade that was given back whole is closed, and one that is too old to be refunded is finished."""
    if record.state is PaymentState.SUCCEEDED and record.refunded >= record.captured:
        return "TRADE_CLOSED"
    return "TRADE_FINISHED" if record.event_type == "TRADE_FINISHED" else TRADE_STATUSES[record.state]


def _business(sub_code: str, sub_msg: str) -> Content:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": sub_msg}


def _invalid(sub_code: str, sub_msg: str) -> Content:
    return {"code": "40002", "msg": "Invalid Arguments", "sub_code": sub_code, "sub_msg": sub_msg}


def _response(
    method: str, value: Content, *, about: str, ref: str = "", order_ref: str = "", summary: str = ""
) -> ApiResponse:
    """Returns the answer's name and value, a line each, until it is sealed."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    name = f"{method.replace('.', '_')}_response".encode()
    return ApiResponse(
        body=name + b"\n" + text,
        about=about,
        ref=ref,
        order_ref=order_ref,
        summary=summary or str(value.get("sub_code", value["code"])),
    )
