"""Simulates Alipay."""

from typing import Final

import msgspec

from tillkeeper.sandbox.keys import new_rsa_key, private_pem, public_pem
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.alipay.api import AlipayApi
from tillkeeper.sandbox.simulators.alipay.signing import AlipaySigner
from tillkeeper.sandbox.simulators.alipay.templates import EVENT_TYPES, TEMPLATES
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator


def _new_signer(account: str) -> AlipaySigner:
    return AlipaySigner(
        account=account,
        app_id="2021004100000001",
        seller_id="2088000000000001",
        private_key=new_rsa_key(),
        app_key=new_rsa_key(),
    )


def _impostor(signer: Signer) -> AlipaySigner:
    assert isinstance(signer, AlipaySigner)
    return msgspec.structs.replace(signer, private_key=new_rsa_key())


def _settings(signer: Signer) -> dict[str, Setting]:
    assert isinstance(signer, AlipaySigner)
    return {
        "app_id": signer.app_id,
        "seller_id": signer.seller_id,
        "alipay_public_key": Secret(public_pem(signer.private_key)),
        "app_private_key": Secret(private_pem(signer.app_key)),
    }


def _api(signer: Signer, ledger: Ledger) -> AlipayApi:
    assert isinstance(signer, AlipaySigner)
    return AlipayApi(signer, ledger)


SIMULATOR: Final = Simulator(
    gateway="alipay",
    event_types=EVENT_TYPES,
    totals=frozenset({"refunded"}),
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="20261122",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=_api,
    api_path="/gateway.do",
)
