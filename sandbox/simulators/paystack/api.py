"""Simulates Paystack's API, as far as Tillkeeper queries it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, compact_json
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.paystack.objects import DECLINE, number_of, paystack_refund, paystack_transaction
from tillkeeper.sandbox.simulators.paystack.signing import PaystackSigner


class PaystackApi:
    """One integration's transactions by reference, and its refunds by number or by their transaction's reference."""

    def __init__(self, signer: PaystackSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.secret_key}":
            return _error(401, "invalid_Key", "Invalid key")
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "transaction", "verify", ref]:
                record = self._ledger.payment(ref, as_of)
                # A shop may give a transaction its order's reference: here it is found by both.
                record = record or self._ledger.payment_of_order(ref, as_of)
                if record is not None:
                    return _found("payment", "Verification successful", _transaction_of(record), record)
                return _error(400, "transaction_not_found", "Transaction reference not found.", ref=ref)
            case ["", "refund"]:
                return self._refunds(request.first("transaction") or "", as_of)
            case ["", "refund", ref]:
                return self._refund(ref, as_of)
        return _error(404, "unknown_endpoint", "The endpoint does not exist")

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        record, refund = self._ledger.refund(ref, as_of)
        if record is not None and refund is not None:
            return _found("refund", "Refund retrieved", _refund_of(record, refund), record)
        return _error(404, "not_found", "Refund not found", ref=ref)

    def _refunds(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment(ref, as_of)
        listed = [] if record is None else [_refund_of(record, refund) for refund in record.refunds]
        body = compact_json({"status": True, "message": "Refunds retrieved", "data": listed})
        order_ref = "" if record is None else record.story.order_ref
        return ApiResponse(body=body, about="refund", ref=ref, order_ref=order_ref, summary=f"{len(listed)} found")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Paystack's words for trouble of its own."""
        return _error(status, "api_error", "An error occurred")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged, content_type="application/json; charset=utf-8")


TRANSACTION_STATUSES: Final[Mapping[PaymentState, Json]] = {
    PaymentState.CREATED: {"status": "ongoing", "gateway_response": "The transaction was not completed"},
    PaymentState.FAILED: DECLINE,
    PaymentState.SUCCEEDED: {},
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "processing",
    RefundState.SUCCEEDED: "processed",
    RefundState.FAILED: "failed",
}


def _transaction_of(record: PaymentRecord) -> Json:
    amount = record.captured or record.story.amount
    outcome = dict(TRANSACTION_STATUSES[record.state])
    if record.refunded == amount:
        outcome["status"] = "reversed"
    at = record.paid_at or record.at
    order = {"order_id": record.story.order_ref}
    return paystack_transaction(record.story.payment_ref, amount, record.story.currency, at, metadata=order, **outcome)


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = {"status": REFUND_STATUSES[refund.state], "amount": refund.amount}
    content["transaction"] = number_of("transaction", record.story.payment_ref)
    return paystack_refund(refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency, **content)


def _found(about: str, message: str, data: Json, record: PaymentRecord) -> ApiResponse:
    body = compact_json({"status": True, "message": message, "data": data})
    return ApiResponse(
        body=body, about=about, ref=str(data["id"]), order_ref=record.story.order_ref, summary=data["status"]
    )


def _error(status: int, code: str, message: str, *, ref: str = "") -> ApiResponse:
    content = {"status": False, "message": message, "meta": {"nextStep": ""}, "type": "validation_error", "code": code}
    return ApiResponse(status=status, body=compact_json(content), about="nothing", ref=ref, summary=code)
