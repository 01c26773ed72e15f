"""Simulates Checkout.com: payments with captures and refunds that are actions of their own."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.checkout.api import CheckoutApi
from tillkeeper.sandbox.simulators.checkout.signing import CheckoutSigner
from tillkeeper.sandbox.simulators.checkout.templates import CAPTURED, TEMPLATES


def _new_signer(account: str) -> CheckoutSigner:
    return CheckoutSigner(
        account=account, signature_key=secrets.token_hex(16), secret_key=f"sk_sbox_{secrets.token_hex(14)}"
    )


def _impostor(signer: Signer) -> CheckoutSigner:
    return msgspec.structs.replace(cast("CheckoutSigner", signer), signature_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("CheckoutSigner", signer)
    return {"signature_keys": [Secret(signer.signature_key)], "secret_key": Secret(signer.secret_key)}


SIMULATOR: Final = Simulator(
    gateway="checkout",
    event_types={
        "payment_pending": PaymentState.PENDING,
        "payment_approved": PaymentState.AUTHORIZED,
        CAPTURED: PaymentState.SUCCEEDED,
        "payment_declined": PaymentState.FAILED,
        "payment_voided": PaymentState.CANCELLED,
        "payment_expired": PaymentState.CANCELLED,
        "payment_refund_pending": RefundState.PENDING,
        "payment_refunded": RefundState.SUCCEEDED,
        "payment_refund_declined": RefundState.FAILED,
        "dispute_received": None,
    },
    parts=frozenset({CAPTURED}),
    templates=TEMPLATES,
    currencies=("GBP", "EUR", "USD", "AED", "JPY"),
    payment_prefix="pay_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: CheckoutApi(cast("CheckoutSigner", signer), ledger),
)
