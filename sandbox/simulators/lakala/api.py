"""Simulates Lakala's API, as far as Tillkeeper queries it."""

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.formats import Json, compact_json, http_date, shanghai_digits
from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from tillkeeper.sandbox.simulators.lakala.signing import (
    ORDER_STATUSES,
    SCHEME,
    LakalaSigner,
    nonce_of,
    pay_trade,
    refund_trade,
    sign,
)

PAY_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.PENDING: "P",
    PaymentState.SUCCEEDED: "S",
    PaymentState.FAILED: "F",
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "P",
    RefundState.SUCCEEDED: "S",
    RefundState.FAILED: "F",
}


class LakalaApi:
    """One merchant's: the cashier's order query."""

    def __init__(self, signer: LakalaSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if not self._is_signed(request):
            return self._failed("GW0001", "验签失败")
        if (request.method, request.path) != ("POST", "/api/v3/ccss/counter/order/query"):
            return ApiResponse(status=404, body=b"{}", about="nothing", summary="no such address")
        asked = json.loads(request.body)["req_data"]
        ref = str(asked.get("out_order_no", ""))
        record = self._ledger.payment_of_order(ref, as_of)
        if record is None or asked.get("merchant_no") != self._signer.merchant_no:
            return self._failed("000002", "订单不存在", about="payment", ref=ref)
        content = self._order(record)
        return ApiResponse(
            body=compact_json(
                {"msg": "操作成功", "resp_time": shanghai_digits(as_of), "code": "000000", "resp_data": content}
            ),
            about="payment",
            ref=ref,
            order_ref=ref,
            summary=str(content["order_status"]),
        )

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Lakala's words for trouble of its own."""
        return msgspec.structs.replace(self._failed("BBS10000", "系统繁忙"), status=status)

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Signed over five lines, in headers of its own; their values are quoted."""
        ours = self._signer
        lines = (ours.app_id, "00dfba8194c41b84cf", str(int(now.timestamp())), nonce_of(content.ref, 0))
        names = ("Lklapi-Appid", "Lklapi-Serial", "Lklapi-Timestamp", "Lklapi-Nonce", "Lklapi-Signature")
        signature = sign(new_rsa_key() if forged else ours.key, lines, content.body)
        signed = {name: f'"{value}"' for name, value in zip(names, (*lines, signature), strict=True)}
        headers = {"Content-Type": "application/json", "Date": http_date(now), **signed, **content.headers}
        return SignedResponse(status=content.status, headers=headers, body=content.body)

    def _is_signed(self, request: ApiRequest) -> bool:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        content = {name: value.strip('"') for name, _, value in (pair.partition("=") for pair in rest.split(","))}
        names = ("appid", "serial_no", "timestamp", "nonce_str")
        lines = [content.get(name, "") for name in names]
        if scheme != SCHEME or lines[:2] != [self._signer.app_id, self._signer.serial]:
            return False
        signed = "".join(f"{line}\n" for line in lines).encode() + request.body + b"\n"
        try:
            signature = b64decode(content.get("signature", ""), validate=True)
            self._signer.merchant_key.public_key().verify(signature, signed, PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return False
        return True

    def _order(self, record: PaymentRecord) -> Json:
        """Returns the trades, newest first."""
        story = record.story
        trades = [
            refund_trade(story, refund.refund_ref, refund.amount, REFUND_STATUSES[refund.state], refund.at)
            for refund in record.refunds
        ]
        if record.state in PAY_STATUSES:
            amount, at = record.captured or story.amount, record.paid_at or record.at
            trades.append(pay_trade(story, amount, PAY_STATUSES[record.state], at))
        status = "6" if record.refunds else ORDER_STATUSES[record.state]
        return self._signer.order(story, status) | {"order_trade_info_list": trades}

    def _failed(self, code: str, event_types: str, *, about: str = "nothing", ref: str = "") -> ApiResponse:
        return ApiResponse(
            body=compact_json({"code": code, "msg": event_types}), about=about, ref=ref, summary=event_types
        )
