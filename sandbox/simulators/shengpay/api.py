"""Simulates ShengPay's API, as far as Tillkeeper queries it."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.formats import Json, compact_json, http_date, shanghai_digits
from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord
from tillkeeper.sandbox.simulators.shengpay.signing import (
    HASHES,
    JSON_TYPE,
    REFUND,
    ShengPaySigner,
    refund_id_of,
    sign,
    text_of,
)

TRADE_STATES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "WAIT_PAY",
    PaymentState.PENDING: "PAYING",
    PaymentState.FAILED: "PAY_ERROR",
    PaymentState.CANCELLED: "CLOSED",
    PaymentState.SUCCEEDED: "SUCCESS",
}


class ShengPayApi:
    """One merchant's: orderquery and refundquery."""

    def __init__(self, signer: ShengPaySigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        asked = _fields_in(request.body)
        if not self._is_signed(asked):
            return self._failed("SIGN_ERROR", "签名错误", about="nothing")
        if (asked.get("mchId"), asked.get("appId")) != (self._signer.mch_id, self._signer.app_id):
            return self._failed("MCH_NOT_FOUND", "商户不存在", about="nothing")
        match request.method, request.path:
            case "POST", "/api/v3/payment/orderquery":
                return self._payment(asked, as_of)
            case "POST", "/api/v3/payment/refundquery":
                return self._refund(str(asked.get("outRefundNo", "")), as_of)
            case _:
                return ApiResponse(status=404, body=b"{}", about="nothing", summary="no such address")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """ShengPay's words for trouble of its own."""
        content = self._failed("BIZERR_NEED_RETRY", "业务繁忙，请重试", about="nothing")
        return msgspec.structs.replace(content, status=status)

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Errors are signed too."""
        fields = _fields_in(content.body) | {"signType": self._signer.sign_type}
        fields["sign"] = sign(new_rsa_key() if forged else self._signer.key, fields, self._signer.sign_type)
        headers = {"Content-Type": JSON_TYPE, "Date": http_date(now), **content.headers}
        return SignedResponse(status=content.status, headers=headers, body=compact_json(fields))

    def _is_signed(self, asked: Json) -> bool:
        if asked.get("signType") != self._signer.sign_type:
            return False
        try:
            signature = b64decode(str(asked.get("sign")), validate=True)
            public = self._signer.merchant_key.public_key()
            public.verify(signature, text_of(asked).encode(), PKCS1v15(), HASHES[self._signer.sign_type])
        except (ValueError, InvalidSignature):
            return False
        return True

    def _payment(self, asked: Json, as_of: datetime) -> ApiResponse:
        """By ShengPay's number, or by the order's."""
        if transaction_id := asked.get("transactionId"):
            ref = str(transaction_id)
            record = self._ledger.payment(ref, as_of)
        else:
            ref = str(asked.get("outTradeNo", ""))
            record = self._ledger.payment_of_order(ref, as_of)
        if record is None:
            return self._failed("ORDER_NOT_EXIST", "订单不存在", about="payment", ref=ref)
        state = "REFUND" if record.refunds else TRADE_STATES[record.state]
        content = {
            "tradeType": "MWEB",
            "transactionId": record.story.payment_ref,
            "outTradeNo": record.story.order_ref,
            "openId": "15",
            "totalFee": record.captured or record.story.amount,
            "tradeState": state,
            "tradeStateDesc": "",
            "timeEnd": "" if record.paid_at is None else shanghai_digits(record.paid_at),
        }
        return self._response(content, about="payment", ref=ref, record=record, summary=state)

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        record, refund = self._ledger.refund(ref, as_of)
        if record is None or refund is None:
            return self._failed("ORDER_NOT_EXIST", "订单不存在", about="refund", ref=ref)
        content = _refund_told(record, refund)
        return self._response(content, about="refund", ref=ref, record=record, summary=content["refundStatus"])

    def _response(self, fields: Json, *, about: str, ref: str, record: PaymentRecord, summary: str) -> ApiResponse:
        body = compact_json(self._common() | {"resultCode": "SUCCESS"} | fields)
        return ApiResponse(body=body, about=about, ref=ref, order_ref=record.story.order_ref, summary=summary)

    def _failed(self, code: str, event_types: str, *, about: str, ref: str = "") -> ApiResponse:
        content = self._common() | {"resultCode": "FAIL", "errorCode": code, "errorCodeDes": event_types}
        return ApiResponse(body=compact_json(content), about=about, ref=ref, summary=code)

    def _common(self) -> Json:
        nonce = hashlib.sha256(self._signer.account.encode()).hexdigest()[:32]
        done = {"returnCode": "SUCCESS", "returnMsg": "SUCCESS"}
        return done | {"appId": self._signer.app_id, "mchId": self._signer.mch_id, "nonceStr": nonce}


def _refund_told(record: PaymentRecord, refund: RefundRecord) -> Json:
    status = refund.event_type.removeprefix(REFUND)
    return {
        "transactionId": record.story.payment_ref,
        "outTradeNo": record.story.order_ref,
        "refundId": refund_id_of(refund.refund_ref),
        "outRefundNo": refund.refund_ref,
        "totalFee": str(record.captured),
        "refundFee": str(refund.amount),
        "settlementRefundFee": str(refund.amount),
        "refundStatus": status,
        "refundSuccessTime": shanghai_digits(refund.at) if status == "SUCCESS" else "",
        "refundRequestSource": "API",
    }


def _fields_in(body: bytes) -> Json:
    try:
        fields = json.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
