"""Simulates Paystack: charges that succeed or fail, refunds and disputes, and an API to verify with."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.paystack.api import PaystackApi
from tillkeeper.sandbox.simulators.paystack.objects import number_of
from tillkeeper.sandbox.simulators.paystack.signing import PaystackSigner
from tillkeeper.sandbox.simulators.paystack.templates import EVENT_TYPES, TEMPLATES
from tillkeeper.sandbox.story import Story, StoryEvent


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Paystack gives events no id."""
    kind = event.event_type.rpartition(".")[0]
    return (
        f"{event.event_type}:{number_of('dispute' if kind == 'charge.dispute' else 'transaction', story.payment_ref)}"
    )


def _new_signer(account: str) -> PaystackSigner:
    return PaystackSigner(account=account, secret_key=f"sk_test_{secrets.token_hex(20)}")


def _impostor(signer: Signer) -> PaystackSigner:
    return _new_signer(signer.account)


def _settings(signer: Signer) -> Mapping[str, Setting]:
    return {"secret_keys": [Secret(cast("PaystackSigner", signer).secret_key)]}


SIMULATOR: Final = Simulator(
    gateway="paystack",
    event_types=EVENT_TYPES,
    ignored=frozenset({"transfer.success"}),
    fetched=frozenset(event_type for event_type in EVENT_TYPES if event_type.startswith("refund.")),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("NGN", "GHS", "ZAR", "KES", "USD"),
    payment_prefix="ref",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: PaystackApi(cast("PaystackSigner", signer), ledger),
)
