"""Simulates Square's API, as far as Tillkeeper queries it."""

import json
from datetime import datetime
from typing import Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, utc_milliseconds
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord
from tillkeeper.sandbox.simulators.square.objects import DECLINE, square_payment, square_refund
from tillkeeper.sandbox.simulators.square.signing import DECLINED, SquareSigner


class SquareApi:
    """One account's payments and refunds, by their ids."""

    def __init__(self, signer: SquareSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.access_token}":
            return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED")
        match request.path.split("/"):
            case ["", "v2", "payments", ref] if request.method == "GET":
                record = self._ledger.payment(ref, as_of)
                if record is not None and record.event_type:
                    return _found("payment", _payment_of(record), record)
            case ["", "v2", "refunds", ref] if request.method == "GET":
                record, refund = self._ledger.refund(ref, as_of)
                if record is not None and refund is not None:
                    return _found("refund", _refund_of(record, refund), record)
        return _error(404, "INVALID_REQUEST_ERROR", "NOT_FOUND")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Square's words for trouble of its own."""
        return _error(status, "API_ERROR", "RATE_LIMITED" if status == 429 else "INTERNAL_SERVER_ERROR")  # noqa: PLR2004

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)


STATUSES: Final = {
    PaymentState.CREATED: "PENDING",
    PaymentState.PENDING: "PENDING",
    PaymentState.AUTHORIZED: "APPROVED",
    PaymentState.FAILED: "FAILED",
    PaymentState.CANCELLED: "CANCELED",
    PaymentState.SUCCEEDED: "COMPLETED",
}


def _payment_of(record: PaymentRecord) -> Json:
    story = record.story
    more: Json = {"status": STATUSES[record.state]}
    if record.event_type == DECLINED:
        more["card_details"] = DECLINE
    if record.refunds:
        more["refunded_money"] = {"amount": record.refunded, "currency": story.currency}
        more["refund_ids"] = [refund.refund_ref for refund in record.refunds]
        more["updated_at"] = utc_milliseconds(max(refund.at for refund in record.refunds))
    amount = record.captured or story.amount
    return square_payment(story.payment_ref, amount, story.currency, story.order_ref, record.at, **more)


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    story, status = record.story, refund.event_type.partition(" ")[2]
    return square_refund(
        refund.refund_ref, story.payment_ref, refund.amount, story.currency, status=status, at=refund.at
    )


def _found(name: str, subject: Json, record: PaymentRecord) -> ApiResponse:
    body = json.dumps({name: subject}, separators=(",", ":")).encode()
    return ApiResponse(
        body=body, about=name, ref=subject["id"], order_ref=record.story.order_ref, summary=subject["status"]
    )


def _error(status: int, category: str, code: str) -> ApiResponse:
    body = json.dumps({"errors": [{"category": category, "code": code, "detail": "Said by the sandbox."}]}).encode()
    return ApiResponse(status=status, body=body, about="nothing", summary=code)
