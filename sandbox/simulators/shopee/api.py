"""Simulates ShopeePay's API, as far as Tillkeeper queries it."""

import hmac
import json
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord
from tillkeeper.sandbox.simulators.shopee.objects import shopee_amount, shopee_order
from tillkeeper.sandbox.simulators.shopee.signing import ShopeeSigner
from tillkeeper.sandbox.simulators.shopee.templates import CASH

PATH: Final = "/api/v2/order/get_order_detail"

SIGNED_FOR: Final = timedelta(minutes=5)


def shopee_answer(*orders: Json) -> bytes:
    """Returns the API's answer with these orders; numbers are written as Shopee writes them."""
    content = {"error": "", "message": "", "request_id": "cbb9c0ea", "response": {"order_list": list(orders)}}
    return _encoder.encode(content)


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def shopee_sign(signer: ShopeeSigner, timestamp: str) -> str:
    """Returns the signature of a call for an order's details."""
    signed = signer.partner_id + PATH + timestamp + signer.access_token + signer.shop_id
    return hmac.digest(signer.partner_key.encode(), signed.encode(), "sha256").hex()


class ShopeeApi:
    """One shop's orders."""

    def __init__(self, signer: ShopeeSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        """One query."""
        if request.method != "GET" or request.path != PATH:
            return _error(404, "error_path", "The path is unknown.")
        if (refusal := self._refusal(request, now)) is not None:
            return refusal
        order_sn = request.first("order_sn_list") or ""
        record = self._ledger.payment_of_order(order_sn, as_of)
        record = record or self._ledger.payment(order_sn, as_of)  # one thing, by either reference
        if record is None:
            return _error(200, "error_not_found", "Wrong parameters, detail: the order is not found.")
        order = _order_of(record, as_of) | {"order_sn": order_sn}
        body, summary = shopee_answer(order), order["order_status"]
        return ApiResponse(body=body, about="payment", ref=order_sn, order_ref=record.story.order_ref, summary=summary)

    def _refusal(self, request: ApiRequest, now: datetime) -> ApiResponse | None:
        content = {name: request.first(name) for name in ("partner_id", "shop_id", "access_token", "timestamp", "sign")}
        timestamp = content["timestamp"] or ""
        if not timestamp.isdigit() or abs(now.timestamp() - int(timestamp)) > SIGNED_FOR.total_seconds():
            return _error(403, "error_auth", "Invalid timestamp.")
        ours = {"partner_id": self._signer.partner_id, "shop_id": self._signer.shop_id}
        if any(content[name] != value for name, value in ours.items()) or content["sign"] != shopee_sign(
            self._signer, timestamp
        ):
            return _error(403, "error_sign", "Wrong sign.")
        return None

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Shopee's words for trouble of its own."""
        return _error(status, "error_server", "Something wrong. Please try later.")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)


def _order_of(record: PaymentRecord, as_of: datetime) -> Json:
    """As its last word says; paid when the first word that pays was said."""
    story = record.story
    content = [event for event in story.events if event.at <= as_of]
    event_type, updated_at = (content[-1].event_type, content[-1].at) if content else ("UNPAID", story.started_at)
    status, is_cash = event_type.partition(" ")[0], any(CASH in event.event_type for event in content)
    more: Json = {
        "cod": is_cash,
        "payment_method": "Cash on Delivery" if is_cash else "Credit/Debit Card",
        "update_time": int(updated_at.timestamp()),
        "pay_time": None if record.paid_at is None else int(record.paid_at.timestamp()),
    }
    if status == "CANCELLED":
        by_buyer = record.paid_at is not None
        more |= {"cancel_by": "buyer"} if by_buyer else {"cancel_by": "system", "cancel_reason": "Unpaid Order"}
    amount = shopee_amount(record.captured or story.amount, story.currency)
    return shopee_order(story.order_ref, amount, story.currency, status, **more)


def _error(status: int, error: str, message: str) -> ApiResponse:
    body = json.dumps({"error": error, "message": message, "request_id": "cbb9c0ea"}).encode()
    return ApiResponse(status=status, body=body, about="nothing", summary=error)
