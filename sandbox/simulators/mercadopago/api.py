"""Simulates Mercado Pago's API, as far as Tillkeeper queries it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, compact_json, major_units
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.mercadopago.objects import CLOCK, mercadopago_payment, mercadopago_refund
from tillkeeper.sandbox.simulators.mercadopago.signing import MercadoPagoSigner

DISPUTED: Final[Mapping[str, Json]] = {
    "charged_back": {"status": "charged_back", "status_detail": "in_process"},
    "chargeback reimbursed": {"status": "charged_back", "status_detail": "reimbursed"},
}


def time_text(at: datetime) -> str:
    """As Mercado Pago writes a time: its own clock is four hours behind UTC."""
    return at.astimezone(CLOCK).isoformat(timespec="milliseconds")


class MercadoPagoApi:
    """One application's payments, by id and by `external_reference`."""

    def __init__(self, signer: MercadoPagoSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.access_token}":
            return _error(401, "unauthorized", "invalid access token")
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "v1", "payments", "search"]:
                return self._search(request.first("external_reference") or "", as_of)
            case ["", "v1", "payments", ref]:
                record = self._ledger.payment(ref, as_of)
                if record is not None and record.event_type:
                    payment = _payment_of(record, as_of)
                    return ApiResponse(
                        body=compact_json(payment),
                        about="payment",
                        ref=ref,
                        order_ref=record.story.order_ref,
                        summary=payment["status"],
                    )
                return _error(404, "not_found", "Payment not found", ref=ref)
        return _error(404, "resource not found", "Si quieres conocer los recursos de la API, visita la documentación")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Mercado Pago's words for trouble of its own."""
        return _error(status, "internal_server_error", "internal_server_error")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged, content_type="application/json;charset=UTF-8")

    def _search(self, order_ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(order_ref, as_of)
        found = [] if record is None or not record.event_type else [_payment_of(record, as_of)]
        page = {"paging": {"total": len(found), "limit": 100, "offset": 0}, "results": found}
        return ApiResponse(
            body=compact_json(page), about="payment", ref=order_ref, order_ref=order_ref, summary=f"{len(found)} found"
        )


OUTCOMES: Final[Mapping[PaymentState, Json]] = {
    PaymentState.PENDING: {"status": "pending", "status_detail": "pending_waiting_payment"},
    PaymentState.AUTHORIZED: {"status": "authorized", "status_detail": "pending_capture", "captured": False},
    PaymentState.FAILED: {"status": "rejected", "status_detail": "cc_rejected_insufficient_amount"},
    PaymentState.CANCELLED: {"status": "cancelled", "status_detail": "expired"},
    PaymentState.SUCCEEDED: {},
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "in_process",
    RefundState.SUCCEEDED: "approved",
    RefundState.FAILED: "rejected",
}


def _payment_of(record: PaymentRecord, as_of: datetime) -> Json:
    """Chargebacks stand in no books: the story's own words tell them."""
    story, amount = record.story, record.captured or record.story.amount
    happened = [each for each in story.events if each.at <= as_of]
    outcome: Json = dict(OUTCOMES[record.state])
    if record.refunded == amount:
        outcome |= {"status": "refunded", "status_detail": "refunded"}
    elif record.refunded:
        outcome["status_detail"] = "partially_refunded"
    for event in happened:
        outcome |= DISPUTED.get(event.event_type, {})
    return mercadopago_payment(
        story.payment_ref,
        amount,
        story.currency,
        story.order_ref,
        date_created=time_text(story.started_at),
        date_approved=None if record.paid_at is None else time_text(record.paid_at),
        date_last_updated=time_text(happened[-1].at),
        transaction_amount_refunded=major_units(record.refunded, story.currency),
        refunds=[_refund_of(record, refund) for refund in record.refunds],
        **outcome,
    )


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = {"status": REFUND_STATUSES[refund.state], "date_created": time_text(refund.asked_at)}
    return mercadopago_refund(
        refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency, **content
    )


def _error(status: int, error: str, message: str, *, ref: str = "") -> ApiResponse:
    content = {"message": message, "error": error, "status": status, "cause": []}
    return ApiResponse(status=status, body=compact_json(content), about="nothing", ref=ref, summary=error)
