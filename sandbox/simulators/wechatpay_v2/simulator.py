"""Simulates WeChat Pay v2: XML signed with a shared key, refund notices encrypted and not signed."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.formats import shanghai_digits
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.wechatpay_v2.api import WeChatPayV2Api
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import DECLINED_CODE, REFUND, WeChatPayV2Signer
from tillkeeper.sandbox.simulators.wechatpay_v2.templates import DECLINED, EVENT_TYPES, PAID, TEMPLATES
from tillkeeper.sandbox.story import Story, StoryEvent

SUB_MCH_ID: Final = "1900000110"


def new_signer(account: str) -> WeChatPayV2Signer:
    """Returns a merchant with a fresh key."""
    return WeChatPayV2Signer(
        account=account, mch_id="1900000109", app_id="wx8888888888888889", api_key=secrets.token_hex(16)
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("WeChatPayV2Signer", signer), api_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("WeChatPayV2Signer", signer)
    return {
        "mch_id": ours.mch_id,
        "app_id": ours.app_id,
        "api_key": Secret(ours.api_key),
        "sign_type": ours.sign_type,
        **({} if ours.sub_mch_id is None else {"sub_mch_ids": [ours.sub_mch_id]}),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Returns the transaction's number; behind that of an attempt that failed, why and when."""
    if event.event_type == PAID:
        return story.payment_ref
    event_type = DECLINED_CODE if event.event_type == DECLINED else event.event_type
    return f"{story.payment_ref}:{event_type}:{shanghai_digits(event.at)}"


SIMULATOR: Final = Simulator(
    gateway="wechatpay_v2",
    event_types=EVENT_TYPES,
    fetched=frozenset(event_type for event_type in EVENT_TYPES if event_type.startswith(REFUND)),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="42000001",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: WeChatPayV2Api(cast("WeChatPayV2Signer", signer), ledger),
)
