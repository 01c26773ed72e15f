"""Simulates Mollie: classic calls that name a payment and nothing else, and an API to ask.

Next-gen events are made here as well, for tests; no story is told by them, for Mollie has hardly any
for payments yet.
"""

import secrets
from collections.abc import Mapping
from typing import Final, cast

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.mollie.api import MollieApi
from tillkeeper.sandbox.simulators.mollie.signing import MollieSigner
from tillkeeper.sandbox.simulators.mollie.templates import EVENT_TYPES, TEMPLATES


def _settings(signer: Signer) -> Mapping[str, Setting]:
    return {"api_key": Secret(cast("MollieSigner", signer).api_key)}


SIMULATOR: Final = Simulator(
    gateway="mollie",
    event_types=cast("Mapping[str, PaymentState | RefundState]", EVENT_TYPES),
    fetched=frozenset(EVENT_TYPES),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "GBP", "JPY"),
    payment_prefix="tr_",
    new_signer=lambda account: MollieSigner(account=account, api_key=f"test_{secrets.token_hex(16)}"),
    impostor=None,
    settings=_settings,
    api=lambda signer, ledger: MollieApi(cast("MollieSigner", signer), ledger),
)
