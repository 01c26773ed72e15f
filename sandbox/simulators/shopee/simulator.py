"""Simulates Shopee: pushes that name an order and its status, and the API that tells the rest.

Its words are statuses of the shop's order; what stands behind one in brackets is told by the API alone."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.shopee.api import ShopeeApi
from tillkeeper.sandbox.simulators.shopee.signing import ShopeeSigner
from tillkeeper.sandbox.simulators.shopee.templates import EVENT_TYPES, TEMPLATES


def _new_signer(account: str) -> ShopeeSigner:
    return ShopeeSigner(
        account=account,
        partner_key=f"shpk{secrets.token_hex(28)}",
        partner_id="2000639",
        shop_id="37698001",
        push_url=f"https://till.example/webhooks/{account}",
        access_token=secrets.token_hex(16),
    )


def _impostor(signer: Signer) -> ShopeeSigner:
    return msgspec.structs.replace(cast("ShopeeSigner", signer), partner_key=f"shpk{secrets.token_hex(28)}")


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("ShopeeSigner", signer)
    return {
        "partner_keys": [Secret(signer.partner_key)],
        "push_url": signer.push_url,
        "partner_id": signer.partner_id,
        "shop_id": signer.shop_id,
        "access_token": Secret(signer.access_token),
    }


SIMULATOR: Final = Simulator(
    gateway="shopee",
    event_types=EVENT_TYPES,
    ignored=frozenset({"UNPAID"}),
    fetched=frozenset(EVENT_TYPES) - {"UNPAID"},
    templates=TEMPLATES,
    currencies=("IDR", "VND", "TWD", "SGD", "MYR", "THB", "BRL"),
    payment_prefix="",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: ShopeeApi(cast("ShopeeSigner", signer), ledger),
)
