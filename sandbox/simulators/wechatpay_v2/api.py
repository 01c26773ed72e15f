"""Simulates WeChat Pay's API v2's API, as far as Tillkeeper queries it."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.formats import SHANGHAI, http_date, shanghai_digits
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import (
    REFUND,
    Fields,
    WeChatPayV2Signer,
    refund_id_of,
    sign,
    xml,
)
from tillkeeper.sandbox.simulators.wechatpay_v2.templates import ACCEPTED_DEDUCTION, FAILED_DEDUCTION

TRADE_STATES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "NOTPAY",
    PaymentState.PENDING: "USERPAYING",
    PaymentState.FAILED: "PAYERROR",
    PaymentState.CANCELLED: "CLOSED",
    PaymentState.SUCCEEDED: "SUCCESS",
}


class WeChatPayV2Api:
    """One merchant's: orderquery and refundquery."""

    def __init__(self, signer: WeChatPayV2Signer, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query.  What is wrong at the door is told without a signature."""
        asked = dict(_FIELD.findall(request.body.decode(errors="replace")))
        if asked.get("sign") != sign(asked, self._signer.api_key, self._signer.sign_type):
            return _door("签名失败")
        if {name: asked[name] for name in ("appid", "mch_id", "sub_mch_id") if name in asked} != self._signer.named():
            return _door("appid和mch_id不匹配")
        match request.method, request.path:
            case "POST", "/pay/orderquery":
                return self._payment(asked, as_of)
            case "POST", "/pay/refundquery":
                return self._refunds(asked, as_of)
            case _:
                return ApiResponse(status=404, body=b"", about="nothing", summary="no such address")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """WeChat Pay's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return self._failed("FREQUENCY_LIMITED", "频率限制", about="nothing")
        return self._failed("SYSTEMERROR", "系统错误", about="nothing")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Signed, but for what is wrong at the door."""
        headers = {"Content-Type": "text/xml; charset=utf-8", "Date": http_date(now), **content.headers}
        fields: Fields = json.loads(content.body) if content.body else {}
        if "nonce_str" in fields:
            key = f"{self._signer.api_key}, not" if forged else self._signer.api_key
            fields["sign"] = sign(fields, key, self._signer.sign_type)
        return SignedResponse(status=content.status, headers=headers, body=xml(fields))

    def _payment(self, asked: Fields, as_of: datetime) -> ApiResponse:
        """By WeChat Pay's number, which exists from the payment on, or by the order's."""
        if transaction_id := asked.get("transaction_id"):
            ref, record = transaction_id, self._ledger.payment(transaction_id, as_of)
            record = None if record is None or record.paid_at is None else record
        else:
            ref = asked.get("out_trade_no", "")
            record = self._ledger.payment_of_order(ref, as_of)
        if record is None:
            return self._failed("ORDERNOTEXIST", "订单不存在", about="payment", ref=ref)
        state = record.event_type if record.event_type in DEDUCTIONS else TRADE_STATES[record.state]
        state = "REFUND" if record.refunds else state
        return self._response(self._trade(record, state), about="payment", ref=ref, record=record, summary=state)

    def _trade(self, record: PaymentRecord, state: str) -> Fields:
        content = {
            "out_trade_no": record.story.order_ref,
            "trade_state": state,
            "trade_state_desc": "",
            "total_fee": str(record.captured or record.story.amount),
        }
        if record.paid_at is None:
            return content
        return content | {
            "transaction_id": record.story.payment_ref,
            "trade_type": "JSAPI",
            "bank_type": "CMB_DEBIT",
            "fee_type": "CNY",
            "cash_fee": str(record.captured),
            "time_end": shanghai_digits(record.paid_at),
        }

    def _refunds(self, asked: Fields, as_of: datetime) -> ApiResponse:
        """One by the merchant's number, or all of a transaction."""
        ref, number = asked.get("out_refund_no", ""), asked.get("transaction_id", "")
        record = self._ledger.payment_of_refund(ref, as_of) if ref else self._ledger.payment(number, as_of)
        refunds = () if record is None else tuple(each for each in record.refunds if ref in {"", each.refund_ref})
        if record is None or not refunds:
            return self._failed("REFUNDNOTEXIST", "退款单不存在", about="refund", ref=ref or number)
        content = {
            "transaction_id": record.story.payment_ref,
            "out_trade_no": record.story.order_ref,
            "total_fee": str(record.captured),
            "fee_type": "CNY",
            "refund_count": str(len(refunds)),
        }
        for at, refund in enumerate(refunds):
            content |= {f"{name}_{at}": value for name, value in _refund(refund).items()}
        return self._response(
            content, about="refund", ref=ref or number, record=record, summary=content["refund_status_0"]
        )

    def _response(self, fields: Fields, *, about: str, ref: str, record: PaymentRecord, summary: str) -> ApiResponse:
        body = json.dumps(self._common() | {"result_code": "SUCCESS"} | fields).encode()
        return ApiResponse(body=body, about=about, ref=ref, order_ref=record.story.order_ref, summary=summary)

    def _failed(self, code: str, event_types: str, *, about: str, ref: str = "") -> ApiResponse:
        content = self._common() | {"result_code": "FAIL", "err_code": code, "err_code_des": event_types}
        return ApiResponse(body=json.dumps(content).encode(), about=about, ref=ref, summary=code)

    def _common(self) -> Fields:
        nonce = hashlib.sha256(self._signer.account.encode()).hexdigest()[:32]
        return {"return_code": "SUCCESS", "return_msg": "OK", **self._signer.named(), "nonce_str": nonce}


DEDUCTIONS: Final = frozenset({ACCEPTED_DEDUCTION, FAILED_DEDUCTION})


def _refund(refund: RefundRecord) -> Fields:
    content = {
        "out_refund_no": refund.refund_ref,
        "refund_id": refund_id_of(refund.refund_ref),
        "refund_channel": "ORIGINAL",
        "refund_fee": str(refund.amount),
        "refund_status": refund.event_type.removeprefix(REFUND),
        "refund_recv_accout": "支付用户零钱",
    }
    if refund.state is RefundState.SUCCEEDED:
        content["refund_success_time"] = f"{refund.at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
    return content


_FIELD: Final = re.compile(r"<(\w+)>(?:<!\[CDATA\[)?([^<\]]*)(?:\]\]>)?</\1>")


def _door(event_types: str) -> ApiResponse:
    body = json.dumps({"return_code": "FAIL", "return_msg": event_types}).encode()
    return ApiResponse(body=body, about="nothing", summary="return_code FAIL")
