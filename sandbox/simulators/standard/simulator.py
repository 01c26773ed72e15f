"""Simulates a provider that signs by Standard Webhooks and has no code of its own: "Lantern Pay"."""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from typing import Final

import msgspec

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.standard.signing import StandardSigner
from tillkeeper.sandbox.simulators.standard.templates import TEMPLATES

SECRET_BYTES: Final = 24

KINDS: Final[Mapping[str, str]] = {
    "payment.started": "payment.pending",
    "payment.paid": "payment.succeeded",
    "payment.declined": "payment.failed",
    "refund.started": "refund.pending",
    "refund.done": "refund.succeeded",
    "refund.refused": "refund.failed",
    "dispute.opened": "dispute.opened",
    "payment.viewed": "ignore",
}

FAILURES: Final[Mapping[str, str]] = {"no_money": "insufficient_funds", "card_gone": "card_expired_or_invalid"}

MAPPING: Final[Mapping[str, Setting]] = {
    "event_id": "id",
    "kind": "type",
    "kinds": KINDS,
    "order_ref": "data.order",
    "payment_ref": "data.payment",
    "refund_ref": "data.refund",
    "dispute_ref": "data.dispute",
    "amount": "data.amount",
    "unit": "major",
    "currency": "data.currency",
    "occurred_at": "timestamp",
    "failure": "data.reason",
    "failures": FAILURES,
}


def _new_signer(account: str) -> Signer:
    return StandardSigner(account=account, secret=_secret())


def _impostor(signer: Signer) -> Signer:
    assert isinstance(signer, StandardSigner)
    return msgspec.structs.replace(signer, secret=_secret())


def _secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _settings(signer: Signer) -> Mapping[str, Setting]:
    assert isinstance(signer, StandardSigner)
    return {"webhook_secrets": [Secret(signer.secret)], "mapping": MAPPING}


SIMULATOR: Final = Simulator(
    gateway="standard",
    event_types={
        "payment.viewed": None,
        "dispute.opened": None,
        "payment.started": PaymentState.PENDING,
        "payment.paid": PaymentState.SUCCEEDED,
        "payment.declined": PaymentState.FAILED,
        "refund.started": RefundState.PENDING,
        "refund.done": RefundState.SUCCEEDED,
        "refund.refused": RefundState.FAILED,
    },
    ignored=frozenset({"payment.viewed"}),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "CNY", "JPY", "KWD"),
    payment_prefix="lan_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=None,
)
