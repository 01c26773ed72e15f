"""Signs as GoCardless does."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.sandbox.formats import Json, Signed
from tillkeeper.sandbox.simulators.gocardless.objects import gocardless_event, refund_id
from tillkeeper.sandbox.story import Story, StoryEvent

# The action and the status of the payment after it; None where the status stays.
ACTIONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "payments.created": ("created", "pending_submission"),
    "payments.submitted": ("submitted", "submitted"),
    "payments.confirmed": ("confirmed", "confirmed"),
    "payments.paid_out": ("paid_out", "paid_out"),
    "payments.failed": ("failed", "failed"),
    "payments.failed, to be retried": ("failed", "failed"),
    "payments.failed late": ("failed", "failed"),
    "payments.failed late, to be retried": ("failed", "failed"),
    "payments.late_failure_settled": ("late_failure_settled", None),
    "payments.cancelled": ("cancelled", "cancelled"),
    "payments.charged_back": ("charged_back", "charged_back"),
    "payments.chargeback_cancelled": ("chargeback_cancelled", "paid_out"),
}

CAUSES: Final[Mapping[str, str]] = {
    "payments.created": "payment_created",
    "payments.submitted": "payment_submitted",
    "payments.confirmed": "payment_confirmed",
    "payments.paid_out": "payment_paid_out",
    "payments.failed": "bank_account_closed",
    "payments.failed, to be retried": "insufficient_funds",
    "payments.failed late": "insufficient_funds",
    "payments.failed late, to be retried": "insufficient_funds",
    "payments.late_failure_settled": "late_failure_settled",
    "payments.cancelled": "payment_cancelled",
    "payments.charged_back": "authorisation_disputed",
    "payments.chargeback_cancelled": "payment_confirmed",
}


def gocardless_signed(secret: str, body: bytes) -> Signed:
    """Any body with GoCardless's headers."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "gocardless-webhook-service/1.1",
        "Origin": "https://api.gocardless.com",
        "Webhook-Signature": hmac.digest(secret.encode(), body, "sha256").hex(),
    }, body


def gocardless_body(*events: Json) -> bytes:
    """Returns a delivery of events, one or many."""
    return json.dumps({"events": events, "meta": {"webhook_id": "WB0000TILL"}}).encode()


class GoCardlessSigner(msgspec.Struct, frozen=True, kw_only=True):
    """GoCardless's, with an endpoint's secret."""

    gateway: ClassVar[str] = "gocardless"
    pays: ClassVar[str] = "payments.confirmed"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"links": {"payment": "'

    account: str
    secret: str
    access_token: str  # who shows it may ask

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same delivery each time."""
        return gocardless_signed(self.secret, gocardless_body(event_of(story, event)))


def event_of(story: Story, event: StoryEvent) -> Json:
    """Returns the event, as deliveries and as the list of events show it."""
    resource, _, action = event.event_type.partition(".")
    if resource == "mandates":
        links = {"mandate": "MD000TILL"}
        return gocardless_event(event.event_id, event.at, resource, action, links=links)
    if resource == "refunds":
        links = {"refund": refund_id(event.refund_ref)}
        return gocardless_event(event.event_id, event.at, resource, action, links=links)
    details = {
        "origin": "bank" if "failed" in event.event_type else "gocardless",
        "cause": CAUSES[event.event_type],
        "description": "As it says.",
        "scheme": "sepa_core",
        "will_attempt_retry": event.event_type.endswith("to be retried"),
    }
    content = {"links": {"payment": story.payment_ref}, "details": details}
    action = ACTIONS[event.event_type][0]
    metadata = {"resource_metadata": {"order_id": story.order_ref}}
    return gocardless_event(event.event_id, event.at, resource, action, **content, **metadata)
