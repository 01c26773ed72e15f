"""Simulates PayPal's API, as far as Tillkeeper queries it."""

from base64 import b64encode
from datetime import datetime
from typing import Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, compact_json, utc_seconds
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.paypal.objects import (
    CAPTURE_PREFIX,
    ORDER_PREFIX,
    paypal_capture,
    paypal_order,
    paypal_refund,
)
from tillkeeper.sandbox.simulators.paypal.signing import CAPTURE_MORE, PayPalSigner
from tillkeeper.sandbox.simulators.paypal.templates import REVERSED

TOKEN_S: Final = 32_400

REFUND_STATUSES: Final = {
    RefundState.PENDING: "PENDING",
    RefundState.SUCCEEDED: "COMPLETED",
    RefundState.FAILED: "FAILED",
}


class PayPalApi:
    """One account's captures, orders and refunds, for who has a token."""

    def __init__(self, signer: PayPalSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query, or the request of a token."""
        if request.path == "/v1/oauth2/token":
            return self._token(request)
        if request.headers.get("authorization") != f"Bearer {self._signer.token}":
            return _error(401, "AUTHENTICATION_FAILURE")
        match request.path.split("/"):
            case ["", "v2", "payments", "captures", ref] if request.method == "GET":
                record = self._ledger.payment(ref, as_of)
                if record is not None and _is_captured(record):
                    return _found(_capture_of(record), record, about="payment")
            case ["", "v2", "checkout", "orders", ref] if request.method == "GET":
                capture_id = f"{CAPTURE_PREFIX}{ref.removeprefix(ORDER_PREFIX)}"
                record = self._ledger.payment(capture_id, as_of)
                if record is not None and ref.startswith(ORDER_PREFIX):
                    return _found(_order_of(record, ref), record, about="payment")
            case ["", "v2", "payments", "refunds", ref] if request.method == "GET":
                record, refund = self._ledger.refund(ref, as_of)
                if record is not None and refund is not None:
                    return _found(_refund_of(record, refund), record, about="refund")
        return _error(404, "RESOURCE_NOT_FOUND")

    def _token(self, request: ApiRequest) -> ApiResponse:
        credentials = b64encode(f"{self._signer.client_id}:{self._signer.client_secret}".encode()).decode()
        is_ours = request.headers.get("authorization") == f"Basic {credentials}"
        if request.method != "POST" or not is_ours or request.body != b"grant_type=client_credentials":
            content = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return ApiResponse(status=401, body=compact_json(content), about="nothing", summary="no token")
        token = {"access_token": self._signer.token, "token_type": "Bearer", "expires_in": TOKEN_S}
        return ApiResponse(body=compact_json(token), about="nothing", summary="token")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """PayPal's words for it."""
        return _error(status, "RATE_LIMIT_REACHED" if status == 429 else "INTERNAL_SERVER_ERROR")  # noqa: PLR2004

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)


def _is_captured(record: PaymentRecord) -> bool:
    """Approving and authorizing make no capture yet; one that was taken back is shown as it was."""
    return record.event_type in CAPTURE_MORE or record.event_type == REVERSED


def _capture_of(record: PaymentRecord) -> Json:
    story, more = record.story, dict(CAPTURE_MORE.get(record.event_type, {}))
    amount = record.captured or story.amount
    made_at = next(event.at for event in story.events if event.event_type in CAPTURE_MORE)
    more["create_time"] = utc_seconds(made_at)
    if record.refunded:
        more["status"] = "REFUNDED" if record.refunded == record.captured else "PARTIALLY_REFUNDED"
    return paypal_capture(story.payment_ref, amount, story.currency, story.order_ref, at=record.at, **more)


def _order_of(record: PaymentRecord, order_id: str) -> Json:
    story = record.story
    order = paypal_order(order_id, story.amount, story.currency, story.order_ref, at=record.at)
    if _is_captured(record):
        order["status"] = "COMPLETED"
        refunds = [_refund_of(record, refund) for refund in record.refunds]
        order["purchase_units"][0]["payments"] = {"captures": [_capture_of(record)], "refunds": refunds}
    elif record.state is not PaymentState.PENDING:
        order["status"] = "VOIDED" if record.state is PaymentState.CANCELLED else "CREATED"
    return order


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = (refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency)
    return paypal_refund(*content, at=refund.at, status=REFUND_STATUSES[refund.state])


def _found(content: Json, record: PaymentRecord, *, about: str) -> ApiResponse:
    story = record.story
    return ApiResponse(
        body=compact_json(content), about=about, ref=content["id"], order_ref=story.order_ref, summary=content["status"]
    )


def _error(status: int, name: str) -> ApiResponse:
    content = {"name": name, "message": name.replace("_", " ").capitalize(), "debug_id": "b1d1f06c7246c"}
    return ApiResponse(status=status, body=compact_json(content), about="nothing", summary=name)
