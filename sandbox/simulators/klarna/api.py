"""Simulates Klarna's API, as far as Tillkeeper queries it."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord
from tillkeeper.sandbox.simulators.klarna.objects import klarna_capture, klarna_order, klarna_refund
from tillkeeper.sandbox.simulators.klarna.signing import KlarnaSigner
from tillkeeper.sandbox.story import Story

STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "purchase": ("AUTHORIZED", "ACCEPTED"),
    "purchase under review": ("AUTHORIZED", "PENDING"),
    "FRAUD_RISK_ACCEPTED": ("AUTHORIZED", "ACCEPTED"),
    "FRAUD_RISK_REJECTED": ("CANCELLED", "REJECTED"),
    "capture": ("CAPTURED", "ACCEPTED"),
    "cancellation": ("CANCELLED", "ACCEPTED"),
    "expiry": ("EXPIRED", "ACCEPTED"),
}


def time_text(at: datetime) -> str:
    """Returns a time as Klarna writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.500Z"


class KlarnaApi:
    """One merchant's: orders, and their acknowledgements."""

    def __init__(self, signer: KlarnaSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002 - its books are at once
        """One query."""
        credentials = b64encode(f"{self._signer.username}:{self._signer.password}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {credentials}":
            return ApiResponse(status=401, body=b"", about="nothing", summary="UNAUTHORIZED")
        match (request.method, *request.path.split("/")[1:]):
            case ("GET", "ordermanagement", "v1", "orders", ref):
                record = self._ledger.payment(ref, as_of)
                if record is not None:
                    return _found(order_of(record, as_of), record.story)
            case ("POST", "ordermanagement", "v1", "orders", ref, "acknowledge"):
                record = self._ledger.payment(ref, as_of)
                if record is not None:
                    order_ref = record.story.order_ref
                    return ApiResponse(
                        status=204, body=b"", about="payment", ref=ref, order_ref=order_ref, summary="noted"
                    )
        return _error(404, "NO_SUCH_ORDER")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Klarna's words for trouble of its own."""
        return _error(status, "TEMPORARILY_UNAVAILABLE")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)


def order_of(record: PaymentRecord, as_of: datetime) -> Json:
    """Returns the order as it stands."""
    story = record.story
    status, fraud = STATUSES.get(record.event_type, ("AUTHORIZED", "PENDING"))
    if any(event.event_type == "FRAUD_RISK_STOPPED" and event.at <= as_of for event in story.events):
        fraud = "REJECTED"
    if 0 < record.captured < story.amount:
        status = "PART_CAPTURED"
    capture_id = f"{story.payment_ref}-c1"
    paid_at = time_text(record.paid_at or record.at)
    captures = [klarna_capture(capture_id, record.captured, captured_at=paid_at)] if record.captured else []
    refunds = [
        klarna_refund(refund.refund_ref, refund.amount, refunded_at=time_text(refund.at)) for refund in record.refunds
    ]
    return klarna_order(
        story.payment_ref,
        story.amount,
        story.currency,
        story.order_ref,
        status=status,
        fraud_status=fraud,
        created_at=time_text(story.started_at),
        expires_at=time_text(story.started_at + timedelta(days=28)),
        captured_amount=record.captured,
        remaining_authorized_amount=story.amount - record.captured,
        refunded_amount=record.refunded,
        captures=captures,
        refunds=refunds,
    )


def _found(order: Json, story: Story) -> ApiResponse:
    return ApiResponse(
        body=json.dumps(order).encode(),
        about="payment",
        ref=story.payment_ref,
        order_ref=story.order_ref,
        summary=f"{order['status']} {order['fraud_status']}",
    )


def _error(status: int, code: str) -> ApiResponse:
    body = {"error_code": code, "error_messages": [code.lower()], "correlation_id": "6a9b1cb1-73a3-4936"}
    return ApiResponse(status=status, body=json.dumps(body).encode(), about="nothing", summary=code)
