"""WeChat Pay v3 as the sandbox plays it."""

import secrets
import string
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sandbox.apis.wechatpay import WeChatPayApi
from sandbox.keys import new_rsa_key, private_pem, public_pem
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import (
    Json,
    Signed,
    WeChatPayKey,
    rfc3339,
    wechatpay_delivery,
    wechatpay_refund,
    wechatpay_refund_id,
    wechatpay_transaction,
)
from sandbox.story import Happening, Story
from sandbox.templates import ALL, Say, Template
from sandbox.truth.books import PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order import Status

APIV3_KEY_CHARS: Final = 32

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "NOTPAY": PaymentState.CREATED,
    "USERPAYING": PaymentState.PENDING,
    "PAYERROR": PaymentState.FAILED,
    "REVOKED": PaymentState.CANCELLED,
    "CLOSED": PaymentState.CANCELLED,
    "TRANSACTION.SUCCESS": PaymentState.SUCCEEDED,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.ABNORMAL": RefundState.FAILED,
    "REFUND.CLOSED": RefundState.FAILED,
}

TEMPLATES: Final = (
    Template(name="paid", weight=40, says=(Say("TRANSACTION.SUCCESS"),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(
        name="a part given back",
        weight=10,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.SUCCESS", 4, "1"), Say("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=5,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.ABNORMAL", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        says=(Say("TRANSACTION.SUCCESS"), Say("REFUND.CLOSED", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        says=(Say("TRANSACTION.SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("TRANSACTION.SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class WeChatPayVoice(msgspec.Struct, frozen=True, kw_only=True):
    """WeChat Pay's, with one of its keys and what it shares with the merchant."""

    gateway: ClassVar[str] = "wechatpay"
    pays: ClassVar[str] = "TRANSACTION.SUCCESS"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"ciphertext":"'

    account: str
    mch_id: str
    app_id: str
    apiv3_key: str
    key: WeChatPayKey
    merchant_serial: str
    merchant_key: RSAPrivateKey  # which signs questions

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time, signed anew."""
        told = {"id": happening.event_id, "create_time": rfc3339(happening.at)}
        return wechatpay_delivery(
            self.key, self.apiv3_key, now, happening.word, self._resource(story, happening), **told
        )

    def _resource(self, story: Story, happening: Happening) -> Json:
        if happening.word == self.pays:
            return wechatpay_transaction(
                mch_id=self.mch_id,
                app_id=self.app_id,
                order_ref=story.order_ref,
                payment_ref=story.payment_ref,
                amount=happening.amount,
                at=happening.at,
            )
        return wechatpay_refund(
            mch_id=self.mch_id,
            order_ref=story.order_ref,
            payment_ref=story.payment_ref,
            refund_ref=wechatpay_refund_id(happening.refund_ref),
            refund=happening.amount,
            total=story.amount,
            at=happening.at,
            refund_status=happening.word.removeprefix("REFUND."),
            out_refund_no=happening.refund_ref,
        )


def _new_voice(account: str) -> WeChatPayVoice:
    return WeChatPayVoice(
        account=account,
        mch_id="1900000100",
        app_id="wx8888888888888888",
        apiv3_key="".join(secrets.choice(string.ascii_letters) for _ in range(APIV3_KEY_CHARS)),
        key=WeChatPayKey("PUB_KEY_ID_0119000001002026112200000001", new_rsa_key()),
        merchant_serial=secrets.token_hex(20).upper(),
        merchant_key=new_rsa_key(),
    )


def _impostor(voice: Voice) -> WeChatPayVoice:
    assert isinstance(voice, WeChatPayVoice)
    return msgspec.structs.replace(voice, key=WeChatPayKey(voice.key.serial, new_rsa_key()))


def _settings(voice: Voice) -> dict[str, Setting]:
    assert isinstance(voice, WeChatPayVoice)
    return {
        "mch_id": voice.mch_id,
        "app_id": voice.app_id,
        "apiv3_key": Kept(voice.apiv3_key),
        "public_keys": {voice.key.serial: Kept(public_pem(voice.key.private_key))},
        "merchant_serial": voice.merchant_serial,
        "merchant_private_key": Kept(private_pem(voice.merchant_key)),
    }


def _api(voice: Voice, ledger: Ledger) -> WeChatPayApi:
    assert isinstance(voice, WeChatPayVoice)
    return WeChatPayApi(voice, ledger)


PLAY: Final = Play(
    gateway="wechatpay",
    words=WORDS,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="42000000",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=_api,
)
