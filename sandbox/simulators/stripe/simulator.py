"""Simulates Stripe."""

import secrets
from typing import Final

import msgspec

from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.stripe.api import StripeApi
from tillkeeper.sandbox.simulators.stripe.signing import StripeSigner
from tillkeeper.sandbox.simulators.stripe.templates import EVENT_TYPES, TEMPLATES


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
