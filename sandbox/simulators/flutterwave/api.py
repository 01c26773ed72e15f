"""Simulates Flutterwave's API, as far as Tillkeeper queries it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, compact_json, utc_milliseconds
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.flutterwave.objects import flutterwave_charge, flutterwave_refund
from tillkeeper.sandbox.simulators.flutterwave.signing import DECLINE, FlutterwaveSigner


class FlutterwaveApi:
    """One account's charges, by id and by reference, and its refunds."""

    def __init__(self, signer: FlutterwaveSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.secret_key}":
            return _error(401, "UNAUTHORIZED", "Authorization failed")
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "charges"]:
                return self._by_reference(request.first("reference") or "", as_of)
            case ["", "charges", ref]:
                record = self._ledger.payment(ref, as_of)
                if record is not None and record.event_type:
                    return _found("payment", _charge_of(record), record)
            case ["", "refunds", ref]:
                record, refund = self._ledger.refund(ref, as_of)
                if record is not None and refund is not None:
                    return _found("refund", _refund_of(record, refund), record)
        return _error(404, "RESOURCE_NOT_FOUND", "The resource does not exist")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Flutterwave's words for trouble of its own."""
        return _error(status, "INTERNAL_SERVER_ERROR", "An unexpected error occurred")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)

    def _by_reference(self, reference: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(reference, as_of)
        found = [] if record is None or not record.event_type else [_charge_of(record)]
        body = compact_json({"status": "success", "message": "Charges fetched", "data": found})
        return ApiResponse(
            body=body, about="payment", ref=reference, order_ref=reference, summary=f"{len(found)} charges"
        )


CHARGES: Final[Mapping[PaymentState, Json]] = {
    PaymentState.PENDING: {"status": "pending"},
    PaymentState.FAILED: DECLINE,
    PaymentState.SUCCEEDED: {},
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "pending",
    RefundState.SUCCEEDED: "succeeded",
    RefundState.FAILED: "failed",
}


def _charge_of(record: PaymentRecord) -> Json:
    story = record.story
    content = story.payment_ref, record.captured or story.amount, story.currency, story.order_ref
    return flutterwave_charge(*content, created_datetime=utc_milliseconds(story.started_at), **CHARGES[record.state])


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency
    return flutterwave_refund(
        *content, status=REFUND_STATUSES[refund.state], created_datetime=utc_milliseconds(refund.asked_at)
    )


def _found(about: str, data: Json, record: PaymentRecord) -> ApiResponse:
    body = compact_json({"status": "success", "message": "Fetched", "data": data})
    return ApiResponse(body=body, about=about, ref=data["id"], order_ref=record.story.order_ref, summary=data["status"])


def _error(status: int, kind: str, message: str) -> ApiResponse:
    content = {"status": "failed", "error": {"type": kind, "code": f"10{status}", "message": message}}
    return ApiResponse(status=status, body=compact_json(content), about="nothing", summary=kind)
