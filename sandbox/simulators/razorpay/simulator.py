"""Simulates Razorpay: events about payments, orders, refunds and disputes, with ids in a header alone."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.razorpay.api import RazorpayApi
from tillkeeper.sandbox.simulators.razorpay.signing import RazorpaySigner, dispute_ref
from tillkeeper.sandbox.simulators.razorpay.templates import LET_GO, TEMPLATES
from tillkeeper.sandbox.story import Story, StoryEvent


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Signed words alone make the id."""
    name, created = event.event_type.partition(" ")[0], int(event.at.timestamp())
    if name.startswith("refund."):
        return f"{name}:{event.refund_ref}:{created}"
    ref = dispute_ref(story) if name.startswith("payment.dispute.") else story.payment_ref
    return f"{name}:{ref}:{created}"


def _new_signer(account: str) -> RazorpaySigner:
    return RazorpaySigner(
        account=account,
        secret=secrets.token_hex(20),
        key_id=f"rzp_test_{secrets.token_hex(7)}",
        key_secret=secrets.token_hex(12),
    )


def _impostor(signer: Signer) -> RazorpaySigner:
    return msgspec.structs.replace(cast("RazorpaySigner", signer), secret=secrets.token_hex(20))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("RazorpaySigner", signer)
    return {
        "webhook_secrets": [Secret(signer.secret)],
        "key_id": signer.key_id,
        "key_secret": Secret(signer.key_secret),
    }


SIMULATOR: Final = Simulator(
    gateway="razorpay",
    event_types={
        "payment.authorized": PaymentState.AUTHORIZED,
        "payment.captured": PaymentState.SUCCEEDED,
        "order.paid": PaymentState.SUCCEEDED,
        "payment.failed": PaymentState.FAILED,
        LET_GO: PaymentState.CANCELLED,
        "refund.created": RefundState.PENDING,
        "refund.processed": RefundState.SUCCEEDED,
        "refund.failed": RefundState.FAILED,
        "payment.dispute.created": None,
    },
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("INR", "USD", "EUR", "JPY"),
    payment_prefix="pay_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: RazorpayApi(cast("RazorpaySigner", signer), ledger),
)
