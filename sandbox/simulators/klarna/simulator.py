"""Simulates Klarna: pushes and notifications without proof, and orders to be fetched.

In life Klarna pushes a purchase until it is acknowledged, and no capture or refund; here whatever happens comes with a
push, as if it fell between two of them."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.klarna.api import KlarnaApi
from tillkeeper.sandbox.simulators.klarna.signing import KlarnaSigner, klarna_query
from tillkeeper.sandbox.simulators.klarna.templates import EVENT_TYPES, TEMPLATES
from tillkeeper.sandbox.story import bare


def _new_signer(account: str) -> Signer:
    username = f"K{secrets.randbelow(10**6):06d}_{bare(account)[:12]}"
    return KlarnaSigner(account=account, username=username, password=secrets.token_hex(18))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    own = cast("KlarnaSigner", signer)
    return {"username": own.username, "password": Secret(own.password)}


SIMULATOR: Final = Simulator(
    gateway="klarna",
    event_types=cast("Mapping[str, PaymentState | RefundState]", EVENT_TYPES),
    fetched=frozenset(EVENT_TYPES),
    templates=TEMPLATES,
    query_of=klarna_query,
    currencies=("EUR", "SEK", "NOK", "USD"),
    payment_prefix="7849fd84-47dc-4919-a7ce-",
    new_signer=_new_signer,
    impostor=None,
    settings=_settings,
    api=lambda signer, ledger: KlarnaApi(cast("KlarnaSigner", signer), ledger),
)
