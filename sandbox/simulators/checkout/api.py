"""Simulates Checkout.com's API, as far as Tillkeeper queries it."""

from datetime import datetime
from typing import Final

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse, unsigned
from tillkeeper.sandbox.formats import Json, compact_json
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from tillkeeper.sandbox.simulators.checkout.objects import checkout_payment, rfc3339
from tillkeeper.sandbox.simulators.checkout.signing import DECLINE, CheckoutSigner, capture_ref
from tillkeeper.sandbox.simulators.checkout.templates import CAPTURED
from tillkeeper.sandbox.story import StoryEvent, bare


class CheckoutApi:
    """One account's payments, by id or reference, and their actions."""

    def __init__(self, signer: CheckoutSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.secret_key}":
            return ApiResponse(status=401, body=b"", about="nothing", summary="unauthorized")
        match request.path.split("/"):
            case ["", "payments"] if request.method == "GET":
                return self._list(request.first("reference") or "", as_of)
            case ["", "payments", ref] if request.method == "GET":
                record = self._ledger.payment(ref, as_of)
                if record is not None and record.event_type:
                    payment = _payment_of(record, as_of)
                    return _found(payment, record, about="payment", summary=payment["status"])
            case ["", "payments", ref, "actions"] if request.method == "GET":
                record = self._ledger.payment(ref, as_of)
                if record is not None and record.event_type:
                    actions = _actions_of(record, as_of)
                    return _found(actions, record, about="refund", summary=f"{len(actions)} actions")
        return ApiResponse(status=404, body=b"", about="nothing", summary="not found")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Checkout.com says nothing then."""
        return ApiResponse(status=status, body=b"", about="nothing", summary="broken")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        return unsigned(content, now=now, forged=forged)

    def _list(self, reference: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(reference, as_of)
        found = [] if record is None or not record.event_type else [_payment_of(record, as_of)]
        listed = {"limit": 100, "skip": 0, "total_count": len(found), "data": found}
        summary = f"{len(found)} payments"
        return ApiResponse(
            body=compact_json(listed), about="payment", ref=reference, order_ref=reference, summary=summary
        )


STATUSES: Final = {
    PaymentState.CREATED: "Pending",
    PaymentState.PENDING: "Pending",
    PaymentState.AUTHORIZED: "Authorized",
    PaymentState.FAILED: "Declined",
    PaymentState.CANCELLED: "Voided",
    PaymentState.SUCCEEDED: "Captured",
}

APPROVED: Final = {RefundState.PENDING: None, RefundState.SUCCEEDED: True, RefundState.FAILED: False}


def _captures(record: PaymentRecord, as_of: datetime) -> list[StoryEvent]:
    """Each of them, for the books know their sum alone."""
    return [event for event in record.story.events if event.event_type == CAPTURED and event.at <= as_of]


def _actions_of(record: PaymentRecord, as_of: datetime) -> list[Json]:
    """Returns all that happened to a payment, newest first."""
    captures = [
        _action(capture_ref(capture), "Capture", capture.amount, capture.at, approved=True)
        for capture in _captures(record, as_of)
    ]
    refunds = [
        _action(refund.refund_ref, "Refund", refund.amount, refund.at, approved=APPROVED[refund.state])
        for refund in record.refunds
    ]
    return [*reversed(refunds), *reversed(captures)]


def _action(action_id: str, action_type: str, amount: int, at: datetime, *, approved: bool | None) -> Json:
    outcome = {"response_code": "10000", "response_summary": "Approved"} if approved else {}
    content = {"id": action_id, "type": action_type, "processed_on": rfc3339(at), "amount": amount}
    return content | {"approved": approved} | (DECLINE if approved is False else outcome)


def _payment_of(record: PaymentRecord, as_of: datetime) -> Json:
    story, summary = record.story, list[Json]()
    for action in _actions_of(record, as_of):
        summary.append(
            {name: action[name] for name in ("id", "type", "response_code", "response_summary") if name in action}
        )
    if record.state is PaymentState.FAILED:
        summary.append({"id": f"act_{bare(story.order_ref)}", "type": "Authorization", **DECLINE})
    captured = sum(capture.amount for capture in _captures(record, as_of))
    balances = {"total_authorized": story.amount, "total_captured": captured, "total_refunded": record.refunded}
    status = STATUSES[record.state]
    if record.refunded:
        status = "Refunded" if record.refunded == captured else "Partially Refunded"
    elif 0 < captured < story.amount:
        status = "Partially Captured"
    content = (story.payment_ref, story.amount, story.currency, story.order_ref)
    return checkout_payment(*content, actions=summary, status=status, balances=balances)


def _found(content: Json | list[Json], record: PaymentRecord, *, about: str, summary: str) -> ApiResponse:
    story = record.story
    return ApiResponse(
        body=compact_json(content), about=about, ref=story.payment_ref, order_ref=story.order_ref, summary=summary
    )
