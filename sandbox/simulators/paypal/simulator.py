"""Simulates PayPal: transmissions signed by a certificate under an own root, and an API with tokens."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper import clock
from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.paypal.api import PayPalApi
from tillkeeper.sandbox.simulators.paypal.objects import API, CAPTURE_PREFIX
from tillkeeper.sandbox.simulators.paypal.signing import PayPalSigner, paypal_identity
from tillkeeper.sandbox.simulators.paypal.templates import (
    APPROVED,
    AUTHORIZED,
    COMPLETED,
    DECLINED,
    DENIED,
    DISPUTED,
    LET_GO,
    ORDER_COMPLETED,
    PENDING,
    REFUND_FAILED,
    REFUND_PENDING,
    REFUNDED,
    REVERSED,
    TEMPLATES,
    VOIDED,
)

CERTIFICATE_NAME: Final = "messageverificationcerts.paypal.com"


def _new_signer(account: str) -> PayPalSigner:
    return PayPalSigner(
        account=account,
        webhook_id=secrets.token_hex(9).upper(),
        client_id=f"A{secrets.token_hex(20)}",
        client_secret=f"E{secrets.token_hex(20)}",
        token=f"A21AA{secrets.token_urlsafe(40)}",
        certificate_url=f"{API}/v1/notifications/certs/CERT-{secrets.token_hex(4)}-{secrets.token_hex(4)}",
        identity=paypal_identity(CERTIFICATE_NAME, clock.now()),
    )


def _impostor(signer: Signer) -> PayPalSigner:
    return msgspec.structs.replace(
        cast("PayPalSigner", signer), identity=paypal_identity(CERTIFICATE_NAME, clock.now())
    )


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("PayPalSigner", signer)
    return {
        "webhook_id": signer.webhook_id,
        "client_id": signer.client_id,
        "client_secret": Secret(signer.client_secret),
        "certs": {signer.certificate_url: signer.identity.chain},
        "trusted_ca": signer.identity.authority,
    }


SIMULATOR: Final = Simulator(
    gateway="paypal",
    event_types={
        APPROVED: PaymentState.PENDING,
        ORDER_COMPLETED: None,
        LET_GO: PaymentState.CANCELLED,
        AUTHORIZED: PaymentState.AUTHORIZED,
        VOIDED: PaymentState.CANCELLED,
        PENDING: PaymentState.PENDING,
        COMPLETED: PaymentState.SUCCEEDED,
        DENIED: PaymentState.FAILED,
        DECLINED: PaymentState.FAILED,
        REFUNDED: RefundState.SUCCEEDED,
        REFUND_PENDING: RefundState.PENDING,
        REFUND_FAILED: RefundState.FAILED,
        REVERSED: PaymentState.REVERSED,
        DISPUTED: None,
    },
    second_events={DENIED: "reversed"},
    fetched=frozenset({ORDER_COMPLETED, COMPLETED, REFUNDED, REFUND_PENDING, REFUND_FAILED}),
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "JPY"),
    payment_prefix=CAPTURE_PREFIX,
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: PayPalApi(cast("PayPalSigner", signer), ledger),
)
