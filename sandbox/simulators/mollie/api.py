"""Simulates Mollie's API, as far as Tillkeeper queries it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.mollie.objects import (
    mollie_chargeback,
    mollie_payment,
    mollie_refund,
    money,
    time_text,
)
from tillkeeper.sandbox.simulators.mollie.signing import MollieSigner
from tillkeeper.sandbox.simulators.mollie.templates import EVENT_TYPES
from tillkeeper.sandbox.story import Story, StoryEvent, bare

# Where a payment tells since when it has a status.
SINCE: Final[Mapping[str, str]] = {
    "authorized": "authorizedAt",
    "paid": "paidAt",
    "failed": "failedAt",
    "canceled": "canceledAt",
    "expired": "expiredAt",
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "queued",
    RefundState.SUCCEEDED: "refunded",
    RefundState.FAILED: "failed",
}


class MollieApi:
    """One profile's: payments and refunds."""

    def __init__(self, signer: MollieSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002 - its books are at once
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.api_key}":
            return _error(401, "Unauthorized Request", "Missing authentication, or failed to authenticate")
        match request.path.split("/")[1:]:
            case ["v2", "payments", ref]:
                record = self._ledger.payment(ref, as_of)
                if record is not None:
                    payment = payment_of(record, as_of, (request.first("embed") or "").split(","))
                    return _found(payment, "payment", ref, record.story)
            case ["v2", "payments", ref, "refunds", refund_ref]:
                record, refund = self._ledger.refund(refund_ref, as_of)
                if record is not None and refund is not None and record.story.payment_ref == ref:
                    return _found(refund_of(record.story, refund), "refund", refund_ref, record.story)
        return _error(404, "Not Found", "No payment exists with that token.")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Mollie's words for trouble of its own."""
        return _error(status, "Trouble", "The service is not available at the moment.")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged, content_type="application/hal+json")


def payment_of(record: PaymentRecord, as_of: datetime, embed: list[str]) -> Json:
    """Returns the payment as it stands, with what is asked for along with it."""
    story = record.story
    status = record.event_type if EVENT_TYPES.get(record.event_type) is not None else "open"
    content: dict[str, Any] = {
        "status": status,
        "createdAt": time_text(story.started_at),
        "paidAt": None,
        "amountRefunded": money(record.going_back, story.currency),
        "_embedded": {},
    }
    if status in SINCE:
        content[SINCE[status]] = time_text(record.paid_at or record.at)
    if status == "failed":
        content["details"] = {"failureReason": "insufficient_funds"}
    if "refunds" in embed:
        content["_embedded"]["refunds"] = [refund_of(story, refund) for refund in record.refunds]
    happened = {event.event_type: event for event in story.events if event.at <= as_of}
    chargebacks = [_chargeback_of(story, happened)] if "charged back" in happened else []
    if chargebacks:
        content["amountChargedBack"] = chargebacks[0]["amount"]
    if "chargebacks" in embed:
        content["_embedded"]["chargebacks"] = chargebacks
    return mollie_payment(
        story.payment_ref, record.captured or story.amount, story.currency, story.order_ref, **content
    )


def _chargeback_of(story: Story, happened: Mapping[str, StoryEvent]) -> Json:
    made, won = happened["charged back"], happened.get("chargeback reversed")
    times = {"createdAt": time_text(made.at), "reversedAt": None if won is None else time_text(won.at)}
    return mollie_chargeback(f"chb_{bare(story.order_ref)}", story.payment_ref, made.amount, story.currency, **times)


def refund_of(story: Story, refund: RefundRecord) -> Json:
    """Returns a refund."""
    more = {"status": REFUND_STATUSES[refund.state], "createdAt": time_text(refund.asked_at)}
    return mollie_refund(refund.refund_ref, story.payment_ref, refund.amount, story.currency, **more)


def _found(content: Json, about: str, ref: str, story: Story) -> ApiResponse:
    body = json.dumps(content).encode()
    return ApiResponse(body=body, about=about, ref=ref, order_ref=story.order_ref, summary=content["status"])


def _error(status: int, title: str, detail: str) -> ApiResponse:
    body = json.dumps({"status": status, "title": title, "detail": detail}).encode()
    return ApiResponse(status=status, body=body, about="nothing", summary=title)
