"""Simulates ShengPay: JSON whose `sign` is RSA over the other fields."""

from collections.abc import Mapping
from typing import Final, cast

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.shengpay.api import ShengPayApi
from tillkeeper.sandbox.simulators.shengpay.signing import REFUND, ShengPaySigner, refund_id_of
from tillkeeper.sandbox.simulators.shengpay.templates import BOUND, EVENT_TYPES, PAID, TEMPLATES
from tillkeeper.sandbox.story import Story, StoryEvent

FETCHED: Final = frozenset({"REFUND.PROCESSING", "REFUND.REFUND_CLOSE", "REFUND.CHANGE"})  # they tell no time


def new_signer(account: str) -> ShengPaySigner:
    """Returns a merchant with fresh keys on both sides."""
    return ShengPaySigner(
        account=account,
        mch_id="93762611",
        app_id="312343123132131331232",
        key=new_rsa_key(),
        merchant_key=new_rsa_key(),
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("ShengPaySigner", signer), key=new_rsa_key())


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("ShengPaySigner", signer)
    public = ours.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = ours.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "mch_id": ours.mch_id,
        "app_id": ours.app_id,
        "shengpay_public_key": Secret(public.decode()),
        "sign_type": ours.sign_type,
        "mch_private_key": Secret(private.decode()),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Returns the payment's number, alone or with what became of it; or the refund's."""
    if event.event_type.startswith(REFUND):
        return f"refund:{refund_id_of(event.refund_ref)}:{event.event_type.removeprefix(REFUND)}"
    return story.payment_ref if event.event_type == PAID else f"{story.payment_ref}:FAIL:FAIL"


SIMULATOR: Final = Simulator(
    gateway="shengpay",
    event_types=EVENT_TYPES,
    ignored=frozenset({BOUND}),
    fetched=FETCHED,
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="WP2026",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: ShengPayApi(cast("ShengPaySigner", signer), ledger),
)
