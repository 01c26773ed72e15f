"""Simulates Mercado Pago: notices that name a payment and no more, and an API to fetch it from."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.mercadopago.api import MercadoPagoApi
from tillkeeper.sandbox.simulators.mercadopago.signing import MercadoPagoSigner, query_of
from tillkeeper.sandbox.simulators.mercadopago.templates import EVENT_TYPES, TEMPLATES


def _new_signer(account: str) -> MercadoPagoSigner:
    return MercadoPagoSigner(
        account=account, secret=secrets.token_hex(32), access_token=f"APP_USR-{secrets.token_hex(16)}"
    )


def _impostor(signer: Signer) -> MercadoPagoSigner:
    return msgspec.structs.replace(cast("MercadoPagoSigner", signer), secret=secrets.token_hex(32))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("MercadoPagoSigner", signer)
    return {"webhook_secrets": [Secret(signer.secret)], "access_token": Secret(signer.access_token)}


SIMULATOR: Final = Simulator(
    gateway="mercadopago",
    event_types=EVENT_TYPES,
    ignored=frozenset({"merchant_order"}),
    fetched=frozenset(EVENT_TYPES) - {"merchant_order"},
    templates=TEMPLATES,
    query_of=query_of,
    currencies=("BRL", "ARS", "MXN", "CLP"),
    payment_prefix="13",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: MercadoPagoApi(cast("MercadoPagoSigner", signer), ledger),
)
