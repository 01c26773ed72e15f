"""Simulates Braintree's API, as far as Tillkeeper queries it."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.braintree.objects import Transaction, credit, document, sale
from tillkeeper.sandbox.simulators.braintree.signing import BraintreeSigner

SALE_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "authorized",
    PaymentState.PENDING: "submitted_for_settlement",
    PaymentState.FAILED: "settlement_declined",
    PaymentState.SUCCEEDED: "settled",
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "submitted_for_settlement",
    RefundState.SUCCEEDED: "settled",
    RefundState.FAILED: "processor_declined",
}


class BraintreeApi:
    """One merchant's transactions, refunds among them."""

    def __init__(self, signer: BraintreeSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        pair = f"{self._signer.public_key}:{self._signer.private_key}"
        if request.headers.get("authorization") != f"Basic {b64encode(pair.encode()).decode()}":
            return _empty(401)
        match request.method, [unquote(part) for part in request.path.split("/")[1:]]:
            case "GET", ["merchants", self._signer.merchant_id, "transactions", ref]:
                return self._transaction(ref, as_of)
            case _:
                return _empty(404)

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """The status tells it all."""
        return _empty(status)

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged, content_type="application/xml; charset=utf-8")

    def _transaction(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment(ref, as_of)
        if record is not None:
            content, about = _sale_of(record), "payment"
        else:
            record, refund = self._ledger.refund(ref, as_of)
            if record is None or refund is None:
                return _empty(404, ref)
            content, about = _credit_of(record, refund), "refund"
        return ApiResponse(
            body=document("transaction", content),
            about=about,
            ref=ref,
            order_ref=record.story.order_ref,
            summary=str(content["status"]),
        )


def _sale_of(record: PaymentRecord) -> Transaction:
    amount = record.captured or record.story.amount
    content = sale(record.story, amount, SALE_STATUSES[record.state], record.paid_at or record.at)
    return content | {"refund-ids": [("item", refund.refund_ref) for refund in record.refunds]}


def _credit_of(record: PaymentRecord, refund: RefundRecord) -> Transaction:
    return credit(record.story, refund.refund_ref, refund.amount, REFUND_STATUSES[refund.state], refund.at)


def _empty(status: int, ref: str = "") -> ApiResponse:
    return ApiResponse(status=status, body=b"", about="nothing", ref=ref, summary=str(status))
