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
from tillkeeper.domain.order.status import Status

APIV3_KEY_CHARS: Final = 32

COMBINED: Final = "合单"  # one notice for several orders, of which one is ours
SHARED_OUT: Final = "分账"  # under the event_type of a payment
DEDUCTION_FAILED: Final = "PAY_FAIL"
SUB_MCH_ID: Final = "1900000109"
ANOTHERS: Final = "1900000199"

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "NOTPAY": PaymentState.CREATED,
    "USERPAYING": PaymentState.PENDING,
    "PAYERROR": PaymentState.FAILED,
    "REVOKED": PaymentState.CANCELLED,
    "CLOSED": PaymentState.CANCELLED,
    DEDUCTION_FAILED: PaymentState.FAILED,
    "TRANSACTION.SUCCESS": PaymentState.SUCCEEDED,
    COMBINED: PaymentState.SUCCEEDED,
    SHARED_OUT: None,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.ABNORMAL": RefundState.FAILED,
    "REFUND.CLOSED": RefundState.FAILED,
}

TEMPLATES: Final = (
    Template(name="paid", weight=40, says=(Say("TRANSACTION.SUCCESS"),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(name="paid together with others", weight=4, says=(Say(COMBINED),), status=Status.PAID, paid=ALL),
    Template(
        name="paid, and shared out",
        weight=4,
        says=(Say("TRANSACTION.SUCCESS"), Say(SHARED_OUT, 2)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="a deduction that failed", weight=3, says=(Say(DEDUCTION_FAILED),), status=Status.FAILED),
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
    merchant_key: RSAPrivateKey  # which signs queries
    sub_mch_id: str | None = None  # of a service provider: the one sub-merchant that it serves

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time, signed anew."""
        told = {"id": happening.event_id, "create_time": rfc3339(happening.at)}
        event_type, resource = self._resource(story, happening)
        if happening.word == SHARED_OUT:
            told["original_type"] = "profitsharing"
        return wechatpay_delivery(self.key, self.apiv3_key, now, event_type, resource, **told)

    def named(self, resource: Json) -> Json:
        """The resource in the names of a service provider, if it is one's."""
        if self.sub_mch_id is None:
            return resource
        told = {name: value for name, value in resource.items() if name not in {"mchid", "appid"}}
        app = {"sp_appid": self.app_id} if "appid" in resource else {}
        return {"sp_mchid": self.mch_id, **app, "sub_mchid": self.sub_mch_id, **told}

    def transaction(self, story: Story, *, amount: int, at: datetime, **more: object) -> Json:
        """A transaction, in notices and in answers alike."""
        return self.named(
            wechatpay_transaction(
                mch_id=self.mch_id,
                app_id=self.app_id,
                order_ref=story.order_ref,
                payment_ref=story.payment_ref,
                amount=amount,
                at=at,
                **more,
            )
        )

    def _resource(self, story: Story, happening: Happening) -> tuple[str, Json]:
        if happening.word == COMBINED:
            return self.pays, self._combined(story, happening)
        if happening.word == SHARED_OUT:
            return self.pays, self._shared_out(story, happening)
        if happening.word == DEDUCTION_FAILED:
            failed = self.transaction(story, amount=happening.amount, at=happening.at, trade_state=DEDUCTION_FAILED)
            return "TRANSACTION.FAIL", {name: it for name, it in failed.items() if name not in ONLY_WHEN_PAID}
        if happening.word == self.pays:
            return self.pays, self.transaction(story, amount=happening.amount, at=happening.at)
        return happening.word, self._refund(story, happening)

    def _refund(self, story: Story, happening: Happening) -> Json:
        return self.named(
            wechatpay_refund(
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
        )

    def _combined(self, story: Story, happening: Happening) -> Json:
        """Its orders say total_amount for total, and one of them is another merchant's."""
        paid = self.transaction(story, amount=happening.amount, at=happening.at)
        amounts = {"total_amount": happening.amount, "payer_amount": happening.amount}
        ours = {name: it for name, it in paid.items() if name not in {"sp_mchid", "appid", "sp_appid", "payer"}} | {
            "mchid": self.mch_id,
            "amount": {**amounts, "currency": "CNY", "payer_currency": "CNY"},
        }
        others = ours | {"mchid": ANOTHERS, "out_trade_no": "ANOTHERS-1", "transaction_id": "4200000199"}
        return {
            "combine_appid": self.app_id,
            "combine_mchid": self.mch_id,
            "combine_out_trade_no": f"C{story.order_ref}",
            "sub_orders": [others, ours],
            "combine_payer_info": paid["payer"],
        }

    def _shared_out(self, story: Story, happening: Happening) -> Json:
        return self.named(
            {
                "mchid": self.mch_id,
                "transaction_id": story.payment_ref,
                "order_id": "3008450740201411110007820472",
                "out_order_no": f"S{story.order_ref}",
                "receiver": {
                    "type": "MERCHANT_ID",
                    "account": ANOTHERS,
                    "amount": happening.amount,
                    "description": "分账给门店",
                },
                "success_time": rfc3339(happening.at),
            }
        )


ONLY_WHEN_PAID: Final = frozenset({"transaction_id", "trade_type", "bank_type", "success_time", "payer"})


def provider_of(voice: WeChatPayVoice) -> WeChatPayVoice:
    """The same account as a service provider's (服务商), who serves one sub-merchant."""
    return msgspec.structs.replace(voice, sub_mch_id=SUB_MCH_ID)


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
        **({} if voice.sub_mch_id is None else {"sub_mch_ids": [voice.sub_mch_id]}),
    }


def _renamed(story: Story, happening: Happening) -> str:
    """An order of a combined payment has its part of the notice."""
    return f"{happening.event_id}:{story.order_ref}" if happening.word == COMBINED else happening.event_id


def _api(voice: Voice, ledger: Ledger) -> WeChatPayApi:
    assert isinstance(voice, WeChatPayVoice)
    return WeChatPayApi(voice, ledger)


PLAY: Final = Play(
    gateway="wechatpay",
    words=WORDS,
    silent=frozenset({SHARED_OUT}),
    renamed=_renamed,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="42000000",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=_api,
)
