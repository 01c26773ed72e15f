"""Simulates Square: events about payments, refunds and disputes, signed over the registered URL.

Its own words are statuses under few types of events; here they are told as `payment COMPLETED`."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.square.api import SquareApi
from tillkeeper.sandbox.simulators.square.signing import SquareSigner
from tillkeeper.sandbox.simulators.square.templates import TEMPLATES


def _new_signer(account: str) -> SquareSigner:
    return SquareSigner(
        account=account,
        signature_key=secrets.token_hex(16),
        notification_url=f"https://till.example/webhooks/{account}",
        access_token=f"EAAA{secrets.token_urlsafe(40)}",
    )


def _impostor(signer: Signer) -> SquareSigner:
    return msgspec.structs.replace(cast("SquareSigner", signer), signature_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("SquareSigner", signer)
    return {
        "signature_keys": [Secret(signer.signature_key)],
        "notification_url": signer.notification_url,
        "access_token": Secret(signer.access_token),
    }


SIMULATOR: Final = Simulator(
    gateway="square",
    event_types={
        "payment PENDING": PaymentState.PENDING,
        "payment APPROVED": PaymentState.AUTHORIZED,
        "payment COMPLETED": PaymentState.SUCCEEDED,
        "payment CANCELED": PaymentState.CANCELLED,
        "payment FAILED": PaymentState.FAILED,
        "refund PENDING": RefundState.PENDING,
        "refund COMPLETED": RefundState.SUCCEEDED,
        "refund REJECTED": RefundState.FAILED,
        "refund FAILED": RefundState.FAILED,
        "dispute EVIDENCE_REQUIRED": None,
    },
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "CAD", "AUD", "JPY"),
    payment_prefix="sqp",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: SquareApi(cast("SquareSigner", signer), ledger),
)
