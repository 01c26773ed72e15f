"""A simulated Stripe."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import (
    Json,
    Signed,
    charge_ref_of,
    session_ref_of,
    stripe_body,
    stripe_charge,
    stripe_dispute,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
    stripe_signed,
)
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import StripeApi
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "payment_intent.created": PaymentState.CREATED,
    "payment_intent.processing": PaymentState.PENDING,
    "payment_intent.amount_capturable_updated": PaymentState.AUTHORIZED,
    "payment_intent.succeeded": PaymentState.SUCCEEDED,
    "payment_intent.payment_failed": PaymentState.FAILED,
    "payment_intent.canceled": PaymentState.CANCELLED,
    "checkout.session.completed": PaymentState.PENDING,
    "checkout.session.async_payment_succeeded": PaymentState.SUCCEEDED,
    "refund.created": RefundState.PENDING,
    "refund.updated": RefundState.SUCCEEDED,
    "refund.failed": RefundState.FAILED,
    "charge.refunded": None,  # its refunds are words of their own
    "charge.dispute.created": None,
}

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.processing"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=8,
        events=(
            Event("payment_intent.amount_capturable_updated"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured in part",
        weight=5,
        events=(Event("payment_intent.amount_capturable_updated"), Event("payment_intent.succeeded", 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="captured in part, and a part of that given back",
        weight=2,
        events=(
            Event("payment_intent.amount_capturable_updated"),
            Event("payment_intent.succeeded", 6),
            Event("refund.updated", 2, "1"),
            Event("charge.refunded", 2, after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=6,
        refunded=2,
    ),
    Template(
        name="authorized, then let go",
        weight=2,
        events=(Event("payment_intent.amount_capturable_updated"), Event("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(
        name="declined, then paid",
        weight=12,
        events=(
            Event("payment_intent.payment_failed"),
            Event("payment_intent.processing"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=5,
        events=(
            Event("checkout.session.completed"),
            Event("checkout.session.async_payment_succeeded"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=6,
        events=(Event("payment_intent.processing"), Event("payment_intent.payment_failed", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="declined, and tried again",
        weight=3,
        events=(Event("payment_intent.payment_failed"), Event("payment_intent.processing")),
        status=Status.PROCESSING,
    ),
    Template(
        name="abandoned",
        weight=5,
        events=(Event("payment_intent.processing"), Event("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=4, events=(Event("payment_intent.processing"),), status=Status.PROCESSING),
    Template(name="only looked at", weight=3, events=(Event("payment_intent.created"),), status=Status.UNPAID),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", 4, "1"),
            Event("charge.refunded", 4, after_s=AT_ONCE_S),
            Event("refund.updated", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="two parts given back",
        weight=3,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", 2, "1"),
            Event("refund.updated", 2, "1", after_s=AT_ONCE_S),
            Event("refund.created", 5, "2"),
            Event("refund.updated", 5, "2", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=5,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", ALL, "1"),
            Event("refund.updated", ALL, "1", after_s=AT_ONCE_S),
            Event("charge.refunded", ALL),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(
            Event("payment_intent.succeeded"),
            Event("charge.refunded", 4),
            Event("refund.created", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", ALL, "1"),
            Event("charge.refunded", ALL, after_s=AT_ONCE_S),
            Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.updated", 3, "1"),
            Event("refund.failed", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("payment_intent.succeeded"), Event("charge.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payment_intent.succeeded", 9),),
        status=Status.PARTIALLY_PAID,
        paid=9,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("payment_intent.processing"), Event("payment_intent.succeeded", after_s=AT_ONCE_S)),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment_intent.succeeded"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class StripeSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's, with an endpoint's secret."""

    gateway: ClassVar[str] = "stripe"
    pays: ClassVar[str] = "payment_intent.succeeded"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"amount": '

    account: str
    secret: str
    api_key: str = ""  # who shows it may ask

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Signed anew each time; `pending_webhooks` changes between deliveries, as it does in life."""
        return stripe_signed(self.secret, now, self.body(story, event, pending_webhooks=max(0, 1 - again)))

    def body(self, story: Story, event: StoryEvent, *, pending_webhooks: int) -> bytes:
        """The event, as a delivery and as the list of events show it."""
        return stripe_body(
            event.at,
            event.event_type,
            STRIPE_OBJECTS[event.event_type](story, event),
            id=event.event_id,
            pending_webhooks=pending_webhooks,
        )


def _intent(status: str, **more: object) -> Callable[[Story, StoryEvent], Json]:
    def make(story: Story, _happening: StoryEvent) -> Json:
        content = {"status": status, "amount_received": 0, **more}
        return stripe_payment_intent(story.payment_ref, story.amount, story.currency, story.order_ref, **content)

    return make


def _intent_authorized(story: Story, event: StoryEvent) -> Json:
    return _intent("requires_capture", amount_capturable=event.amount)(story, event)


def _intent_succeeded(story: Story, event: StoryEvent) -> Json:
    return _intent("succeeded", amount_received=event.amount)(story, event)


def _session(payment_status: str) -> Callable[[Story, StoryEvent], Json]:
    def make(story: Story, event: StoryEvent) -> Json:
        content = {"client_reference_id": story.order_ref, "payment_status": payment_status}
        return stripe_session(
            session_ref_of(story.payment_ref), story.payment_ref, event.amount, story.currency, **content
        )

    return make


def _refund(status: str, **more: object) -> Callable[[Story, StoryEvent], Json]:
    def make(story: Story, event: StoryEvent) -> Json:
        return stripe_refund(event.refund_ref, story.payment_ref, event.amount, story.currency, status=status, **more)

    return make


def _charge_refunded(story: Story, event: StoryEvent) -> Json:
    """What was authorized and never taken does not count as refunded, since API release basil."""
    captured = next(it.amount for it in story.events if it.event_type == "payment_intent.succeeded")
    refunded = event.amount
    content = {"amount_captured": captured, "amount_refunded": refunded, "refunded": refunded == captured}
    return stripe_charge(charge_ref_of(story.payment_ref), story.payment_ref, story.amount, story.currency, **content)


def _dispute(story: Story, event: StoryEvent) -> Json:
    return stripe_dispute(f"dp_{bare(story.order_ref)}", story.payment_ref, event.amount, story.currency)


STRIPE_OBJECTS: Final[Mapping[str, Callable[[Story, StoryEvent], Json]]] = {
    "payment_intent.created": _intent("requires_payment_method"),
    "payment_intent.processing": _intent("processing"),
    "payment_intent.amount_capturable_updated": _intent_authorized,
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.payment_failed": _intent(
        "requires_payment_method",
        last_payment_error={"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"},
    ),
    "payment_intent.canceled": _intent("canceled", cancellation_reason="abandoned"),
    "checkout.session.completed": _session("unpaid"),
    "checkout.session.async_payment_succeeded": _session("paid"),
    "refund.created": _refund("pending"),
    "refund.updated": _refund("succeeded"),
    "refund.failed": _refund("failed", failure_reason="expired_or_canceled_card"),
    "charge.refunded": _charge_refunded,
    "charge.dispute.created": _dispute,
}


def _new_signer(account: str) -> StripeSigner:
    return StripeSigner(account=account, secret=_secret(), api_key=f"sk_test_{secrets.token_hex(16)}")


def _secret() -> str:
    return f"whsec_{secrets.token_hex(16)}"


def _impostor(signer: Signer) -> StripeSigner:
    assert isinstance(signer, StripeSigner)
    return msgspec.structs.replace(signer, secret=_secret())


def _settings(signer: Signer) -> dict[str, Setting]:
    assert isinstance(signer, StripeSigner)
    return {"webhook_secrets": [Secret(signer.secret)], "api_key": Secret(signer.api_key)}


def _api(signer: Signer, ledger: Ledger) -> StripeApi:
    assert isinstance(signer, StripeSigner)
    return StripeApi(signer, ledger)


SIMULATOR: Final = Simulator(
    gateway="stripe",
    event_types=EVENT_TYPES,
    ignored=frozenset({"payment_intent.created"}),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "CNY", "GBP", "JPY", "KWD"),  # of two, none and three decimals
    payment_prefix="pi_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=_api,
)
