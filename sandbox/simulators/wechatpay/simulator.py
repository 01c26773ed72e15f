"""Simulates WeChat Pay v3."""

import secrets
import string
from typing import Final

import msgspec

from tillkeeper.sandbox.keys import new_rsa_key, private_pem, public_pem
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.wechatpay.api import WeChatPayApi
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, WeChatPaySigner
from tillkeeper.sandbox.simulators.wechatpay.templates import COMBINED, EVENT_TYPES, SHARED_OUT, TEMPLATES
from tillkeeper.sandbox.story import Story, StoryEvent

APIV3_KEY_CHARS: Final = 32

SUB_MCH_ID: Final = "1900000109"


def provider_of(signer: WeChatPaySigner) -> WeChatPaySigner:
    """Returns the same account as a service provider's (服务商), who serves one sub-merchant."""
    return msgspec.structs.replace(signer, sub_mch_id=SUB_MCH_ID)


def _new_signer(account: str) -> WeChatPaySigner:
    return WeChatPaySigner(
        account=account,
        mch_id="1900000100",
        app_id="wx8888888888888888",
        apiv3_key="".join(secrets.choice(string.ascii_letters) for _ in range(APIV3_KEY_CHARS)),
        key=WeChatPayKey("PUB_KEY_ID_0119000001002026112200000001", new_rsa_key()),
        merchant_serial=secrets.token_hex(20).upper(),
        merchant_key=new_rsa_key(),
    )


def _impostor(signer: Signer) -> WeChatPaySigner:
    assert isinstance(signer, WeChatPaySigner)
    return msgspec.structs.replace(signer, key=WeChatPayKey(signer.key.serial, new_rsa_key()))


def _settings(signer: Signer) -> dict[str, Setting]:
    assert isinstance(signer, WeChatPaySigner)
    return {
        "mch_id": signer.mch_id,
        "app_id": signer.app_id,
        "apiv3_key": Secret(signer.apiv3_key),
        "public_keys": {signer.key.serial: Secret(public_pem(signer.key.private_key))},
        "merchant_serial": signer.merchant_serial,
        "merchant_private_key": Secret(private_pem(signer.merchant_key)),
        **({} if signer.sub_mch_id is None else {"sub_mch_ids": [signer.sub_mch_id]}),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """An order of a combined payment has its part of the notice."""
    return f"{event.event_id}:{story.order_ref}" if event.event_type == COMBINED else event.event_id


def _api(signer: Signer, ledger: Ledger) -> WeChatPayApi:
    assert isinstance(signer, WeChatPaySigner)
    return WeChatPayApi(signer, ledger)


SIMULATOR: Final = Simulator(
    gateway="wechatpay",
    event_types=EVENT_TYPES,
    ignored=frozenset({SHARED_OUT}),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="42000000",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=_api,
)
