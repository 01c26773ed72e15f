"""Stripe as the sandbox plays it."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from sandbox.apis.stripe import StripeApi
from sandbox.plays.base import Kept, Play, Setting
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
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
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
        says=(
            Say("payment_intent.created"),
            Say("payment_intent.processing"),
            Say("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=8,
        says=(Say("payment_intent.amount_capturable_updated"), Say("payment_intent.succeeded", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured in part",
        weight=5,
        says=(Say("payment_intent.amount_capturable_updated"), Say("payment_intent.succeeded", 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="captured in part, and a part of that given back",
        weight=2,
        says=(
            Say("payment_intent.amount_capturable_updated"),
            Say("payment_intent.succeeded", 6),
            Say("refund.updated", 2, "1"),
            Say("charge.refunded", 2, after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=6,
        refunded=2,
    ),
    Template(
        name="authorized, then let go",
        weight=2,
        says=(Say("payment_intent.amount_capturable_updated"), Say("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(
        name="declined, then paid",
        weight=12,
        says=(
            Say("payment_intent.payment_failed"),
            Say("payment_intent.processing"),
            Say("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=5,
        says=(
            Say("checkout.session.completed"),
            Say("checkout.session.async_payment_succeeded"),
            Say("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=6,
        says=(Say("payment_intent.processing"), Say("payment_intent.payment_failed", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="declined, and tried again",
        weight=3,
        says=(Say("payment_intent.payment_failed"), Say("payment_intent.processing")),
        status=Status.PROCESSING,
    ),
    Template(
        name="abandoned",
        weight=5,
        says=(Say("payment_intent.processing"), Say("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=4, says=(Say("payment_intent.processing"),), status=Status.PROCESSING),
    Template(name="only looked at", weight=3, says=(Say("payment_intent.created"),), status=Status.UNPAID),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", 4, "1"),
            Say("charge.refunded", 4, after_s=AT_ONCE_S),
            Say("refund.updated", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="two parts given back",
        weight=3,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", 2, "1"),
            Say("refund.updated", 2, "1", after_s=AT_ONCE_S),
            Say("refund.created", 5, "2"),
            Say("refund.updated", 5, "2", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=5,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", ALL, "1"),
            Say("refund.updated", ALL, "1", after_s=AT_ONCE_S),
            Say("charge.refunded", ALL),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(
            Say("payment_intent.succeeded"),
            Say("charge.refunded", 4),
            Say("refund.created", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.created", ALL, "1"),
            Say("charge.refunded", ALL, after_s=AT_ONCE_S),
            Say("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        says=(
            Say("payment_intent.succeeded"),
            Say("refund.updated", 3, "1"),
            Say("refund.failed", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        says=(Say("payment_intent.succeeded"), Say("charge.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        says=(Say("payment_intent.succeeded", 9),),
        status=Status.PARTIALLY_PAID,
        paid=9,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("payment_intent.processing"), Say("payment_intent.succeeded", after_s=AT_ONCE_S)),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("payment_intent.succeeded"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class StripeVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's, with an endpoint's secret."""

    gateway: ClassVar[str] = "stripe"
    pays: ClassVar[str] = "payment_intent.succeeded"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"amount": '

    account: str
    secret: str
    api_key: str = ""  # who shows it may ask

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:
        """Signed anew each time; `pending_webhooks` changes between deliveries, as it does in life."""
        return stripe_signed(self.secret, now, self.body(story, happening, pending_webhooks=max(0, 1 - again)))

    def body(self, story: Story, happening: Happening, *, pending_webhooks: int) -> bytes:
        """The event, as a delivery and as the list of events show it."""
        return stripe_body(
            happening.at,
            happening.word,
            STRIPE_OBJECTS[happening.word](story, happening),
            id=happening.event_id,
            pending_webhooks=pending_webhooks,
        )


def _intent(status: str, **more: object) -> Callable[[Story, Happening], Json]:
    def make(story: Story, _happening: Happening) -> Json:
        told = {"status": status, "amount_received": 0, **more}
        return stripe_payment_intent(story.payment_ref, story.amount, story.currency, story.order_ref, **told)

    return make


def _intent_authorized(story: Story, happening: Happening) -> Json:
    return _intent("requires_capture", amount_capturable=happening.amount)(story, happening)


def _intent_succeeded(story: Story, happening: Happening) -> Json:
    return _intent("succeeded", amount_received=happening.amount)(story, happening)


def _session(payment_status: str) -> Callable[[Story, Happening], Json]:
    def make(story: Story, happening: Happening) -> Json:
        told = {"client_reference_id": story.order_ref, "payment_status": payment_status}
        return stripe_session(
            session_ref_of(story.payment_ref), story.payment_ref, happening.amount, story.currency, **told
        )

    return make


def _refund(status: str, **more: object) -> Callable[[Story, Happening], Json]:
    def make(story: Story, happening: Happening) -> Json:
        return stripe_refund(
            happening.refund_ref, story.payment_ref, happening.amount, story.currency, status=status, **more
        )

    return make


def _charge_refunded(story: Story, happening: Happening) -> Json:
    """What was authorized and never taken does not count as refunded, since API release basil."""
    captured = next(it.amount for it in story.happenings if it.word == "payment_intent.succeeded")
    refunded = happening.amount
    told = {"amount_captured": captured, "amount_refunded": refunded, "refunded": refunded == captured}
    return stripe_charge(charge_ref_of(story.payment_ref), story.payment_ref, story.amount, story.currency, **told)


def _dispute(story: Story, happening: Happening) -> Json:
    return stripe_dispute(f"dp_{bare(story.order_ref)}", story.payment_ref, happening.amount, story.currency)


STRIPE_OBJECTS: Final[Mapping[str, Callable[[Story, Happening], Json]]] = {
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


def _new_voice(account: str) -> StripeVoice:
    return StripeVoice(account=account, secret=_secret(), api_key=f"sk_test_{secrets.token_hex(16)}")


def _secret() -> str:
    return f"whsec_{secrets.token_hex(16)}"


def _impostor(voice: Voice) -> StripeVoice:
    assert isinstance(voice, StripeVoice)
    return msgspec.structs.replace(voice, secret=_secret())


def _settings(voice: Voice) -> dict[str, Setting]:
    assert isinstance(voice, StripeVoice)
    return {"webhook_secrets": [Kept(voice.secret)], "api_key": Kept(voice.api_key)}


def _api(voice: Voice, ledger: Ledger) -> StripeApi:
    assert isinstance(voice, StripeVoice)
    return StripeApi(voice, ledger)


PLAY: Final = Play(
    gateway="stripe",
    words=WORDS,
    silent=frozenset({"payment_intent.created"}),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "CNY", "GBP", "JPY", "KWD"),  # of two, none and three decimals
    payment_prefix="pi_",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=_api,
)
