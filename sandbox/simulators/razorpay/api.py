"""Simulates Razorpay's API, as far as Tillkeeper queries it."""

from base64 import b64encode
from datetime import datetime
from typing import Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, compact_json
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.razorpay.objects import (
    DECLINE,
    OUTCOMES,
    razorpay_order,
    razorpay_payment,
    razorpay_refund,
)
from tillkeeper.sandbox.simulators.razorpay.signing import RazorpaySigner
from tillkeeper.sandbox.simulators.razorpay.templates import LET_GO


class RazorpayApi:
    """One account's payments and refunds by id, and its orders by receipt."""

    def __init__(self, signer: RazorpaySigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        basic = b64encode(f"{self._signer.key_id}:{self._signer.key_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return _error(401, "BAD_REQUEST_ERROR", "Authentication failed")
        match request.path.split("/"):
            case ["", "v1", "orders"] if request.method == "GET":
                return self._orders(request.first("receipt") or "", as_of)
            case ["", "v1", "payments", ref] if request.method == "GET":
                record = self._ledger.payment(ref, as_of)
                if record is not None and record.event_type:
                    return _found("payment", _payment_of(record), record)
            case ["", "v1", "refunds", ref] if request.method == "GET":
                record, refund = self._ledger.refund(ref, as_of)
                if record is not None and refund is not None:
                    return _found("refund", _refund_of(record, refund), record)
        return _error(400, "BAD_REQUEST_ERROR", "The id provided does not exist")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Razorpay's words for trouble of its own."""
        code = "BAD_REQUEST_ERROR" if status == 429 else "SERVER_ERROR"  # noqa: PLR2004 - too many requests
        return _error(status, code, "We are facing some trouble completing your request at the moment.")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)

    def _orders(self, receipt: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(receipt, as_of)
        orders = []
        if record is not None:
            payments = [_payment_of(record)] if record.event_type else []
            listed = {"entity": "collection", "count": len(payments), "items": payments}
            orders = [razorpay_order(receipt, record.story.amount, record.story.currency, payments=listed)]
        body = compact_json({"entity": "collection", "count": len(orders), "items": orders})
        return ApiResponse(body=body, about="payment", ref=receipt, order_ref=receipt, summary=f"{len(orders)} orders")


STATUSES: Final = {
    PaymentState.CREATED: {"status": "created", "captured": False},
    PaymentState.PENDING: {"status": "created", "captured": False},
    PaymentState.AUTHORIZED: {"status": "authorized", "captured": False},
    PaymentState.FAILED: DECLINE,
    PaymentState.CANCELLED: OUTCOMES[LET_GO],
    PaymentState.SUCCEEDED: {"status": "captured", "captured": True},
}


def _payment_of(record: PaymentRecord) -> Json:
    story, outcome = record.story, dict(STATUSES[record.state])
    amount = record.captured or story.amount
    if record.refunded:
        all_of_it = record.refunded == amount
        outcome["amount_refunded"] = record.refunded
        outcome["refund_status"] = "full" if all_of_it else "partial"
        outcome["status"] = "refunded" if all_of_it else "captured"
    created = {"created_at": int(story.started_at.timestamp())}
    return razorpay_payment(story.payment_ref, amount, story.currency, story.order_ref, **created, **outcome)


REFUND_STATUSES: Final = {
    RefundState.PENDING: "pending",
    RefundState.SUCCEEDED: "processed",
    RefundState.FAILED: "failed",
}


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = {"status": REFUND_STATUSES[refund.state], "created_at": int(refund.asked_at.timestamp())}
    return razorpay_refund(refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency, **content)


def _found(about: str, entity: Json, record: PaymentRecord) -> ApiResponse:
    order_ref = record.story.order_ref
    return ApiResponse(
        body=compact_json(entity), about=about, ref=entity["id"], order_ref=order_ref, summary=entity["status"]
    )


def _error(status: int, code: str, description: str) -> ApiResponse:
    error = {"code": code, "description": description, "source": "NA", "step": "NA", "reason": "NA", "metadata": {}}
    return ApiResponse(status=status, body=compact_json({"error": error}), about="nothing", summary=description)
