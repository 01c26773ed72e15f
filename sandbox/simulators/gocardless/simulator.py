"""Simulates GoCardless: bank debits that take their time, events without amounts, and an API to ask."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.gocardless.api import GoCardlessApi
from tillkeeper.sandbox.simulators.gocardless.signing import GoCardlessSigner
from tillkeeper.sandbox.simulators.gocardless.templates import EVENT_TYPES, TEMPLATES


def _new_signer(account: str) -> Signer:
    return GoCardlessSigner(
        account=account, secret=secrets.token_hex(20), access_token=f"sandbox_{secrets.token_hex(20)}"
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("GoCardlessSigner", signer), secret=secrets.token_hex(20))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    own = cast("GoCardlessSigner", signer)
    return {"webhook_secrets": [Secret(own.secret)], "access_token": Secret(own.access_token)}


SIMULATOR: Final = Simulator(
    gateway="gocardless",
    event_types=cast("Mapping[str, PaymentState | RefundState]", EVENT_TYPES),
    ignored=frozenset({"mandates.active"}),
    fetched=frozenset(
        {
            "payments.confirmed",
            "payments.paid_out",
            "payments.failed",
            "payments.failed, to be retried",
            "payments.failed late",
            "payments.failed late, to be retried",
            "payments.late_failure_settled",
            "refunds.created",
            "refunds.paid",
            "refunds.failed",
        }
    ),
    templates=TEMPLATES,
    currencies=("EUR", "GBP", "USD", "SEK"),
    payment_prefix="PM",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: GoCardlessApi(cast("GoCardlessSigner", signer), ledger),
)
