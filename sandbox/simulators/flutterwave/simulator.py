"""Simulates Flutterwave v4: charges that complete either way, refunds and chargebacks, and its API.

Deliveries of v3 are made here as well, for tests; no story is told by them."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.flutterwave.api import FlutterwaveApi
from tillkeeper.sandbox.simulators.flutterwave.signing import FlutterwaveSigner
from tillkeeper.sandbox.simulators.flutterwave.templates import EVENT_TYPES, TEMPLATES


def _new_signer(account: str) -> FlutterwaveSigner:
    return FlutterwaveSigner(
        account=account,
        secret_hash=secrets.token_hex(20),
        secret_key=f"FLWSECK_TEST-{secrets.token_hex(16)}-X",
    )


def _impostor(signer: Signer) -> FlutterwaveSigner:
    return msgspec.structs.replace(cast("FlutterwaveSigner", signer), secret_hash=secrets.token_hex(20))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("FlutterwaveSigner", signer)
    return {"secret_hashes": [Secret(signer.secret_hash)], "secret_key": Secret(signer.secret_key)}


SIMULATOR: Final = Simulator(
    gateway="flutterwave",
    event_types=EVENT_TYPES,
    ignored=frozenset({"transfer.completed"}),
    templates=TEMPLATES,
    currencies=("NGN", "KES", "GHS", "USD", "UGX", "XAF"),
    payment_prefix="chg_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: FlutterwaveApi(cast("FlutterwaveSigner", signer), ledger),
)
