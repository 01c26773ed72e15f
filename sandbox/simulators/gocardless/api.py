"""Simulates GoCardless's API, as far as Tillkeeper queries it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, utc_milliseconds
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.gocardless.objects import (
    gocardless_payment,
    gocardless_refund,
    refund_id,
    refund_ref_of,
)
from tillkeeper.sandbox.simulators.gocardless.signing import ACTIONS, GoCardlessSigner, event_of
from tillkeeper.sandbox.story import Story, StoryEvent

API_VERSION: Final = "2015-07-06"

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "created",
    RefundState.SUCCEEDED: "paid",
    RefundState.FAILED: "failed",
}


class GoCardlessApi:
    """One account's: a payment's events with the payment, and refunds."""

    def __init__(self, signer: GoCardlessSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002 - its books are at once
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.access_token}":
            return _error(401, "invalid_api_usage", "access_token_not_found")
        if request.headers.get("gocardless-version") != API_VERSION:
            return _error(400, "invalid_api_usage", "missing_version_header")
        match request.path.split("/")[1:]:
            case ["events"] if request.first("resource_type") == "payments" and request.first("include") == "payment":
                return self._events(request.first("payment") or "", as_of)
            case ["refunds", ref]:
                return self._refund(ref, as_of)
            case _:
                return _error(404, "invalid_api_usage", "resource_not_found")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """GoCardless's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return _error(status, "invalid_api_usage", "rate_limit_exceeded")
        return _error(status, "gocardless", "internal_server_error")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)

    def _events(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment(ref, as_of)
        happened = [] if record is None else [event for event in record.story.events if event.at <= as_of]
        ours = [event for event in happened if event.event_type in ACTIONS]
        page: Json = {"events": [], "meta": {"cursors": {"before": None, "after": None}, "limit": 500}}
        if record is not None and ours:
            page["events"] = [event_of(record.story, event) for event in reversed(ours)]
            page["linked"] = {"payments": [payment_of(record, ours)]}
        order_ref = "" if record is None else record.story.order_ref
        return ApiResponse(
            body=_json(page), about="payment", ref=ref, order_ref=order_ref, summary=f"{len(ours)} events"
        )

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_refund(refund_ref_of(ref), as_of)
        refund = None if record is None else record.refund(refund_ref_of(ref))
        if record is None or refund is None:
            return _error(404, "invalid_api_usage", "resource_not_found", about="refund", ref=ref)
        content = refund_of(record.story, refund)
        order_ref = record.story.order_ref
        return ApiResponse(
            body=_json({"refunds": content}), about="refund", ref=ref, order_ref=order_ref, summary=content["status"]
        )


def payment_of(record: PaymentRecord, happened: Sequence[StoryEvent]) -> Json:
    """Returns the payment after all that happened to it."""
    story = record.story
    status = next(status for event in reversed(happened) if (status := ACTIONS[event.event_type][1]) is not None)
    more = {"status": status, "created_at": utc_milliseconds(story.started_at), "amount_refunded": record.going_back}
    return gocardless_payment(
        story.payment_ref, record.captured or story.amount, story.currency, story.order_ref, **more
    )


def refund_of(story: Story, refund: RefundRecord) -> Json:
    """Returns a refund."""
    more = {"status": REFUND_STATUSES[refund.state], "created_at": utc_milliseconds(refund.asked_at)}
    return gocardless_refund(refund_id(refund.refund_ref), story.payment_ref, refund.amount, story.currency, **more)


def _error(status: int, error_type: str, reason: str, *, about: str = "nothing", ref: str = "") -> ApiResponse:
    error = {"message": reason, "type": error_type, "code": status, "errors": [{"reason": reason, "message": reason}]}
    return ApiResponse(status=status, body=_json({"error": error}), about=about, ref=ref, summary=reason)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()
