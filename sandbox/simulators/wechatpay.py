"""A simulated WeChat Pay v3."""

import secrets
import string
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sandbox.keys import new_rsa_key, private_pem, public_pem
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.signer import Signer
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
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.wechatpay_api import WeChatPayApi
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.statuses import Status

APIV3_KEY_CHARS: Final = 32

COMBINED: Final = "合单"  # one notice for several orders, of which one is ours
SHARED_OUT: Final = "分账"  # under the event_type of a payment
DEDUCTION_FAILED: Final = "PAY_FAIL"
SUB_MCH_ID: Final = "1900000109"
ANOTHERS: Final = "1900000199"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=40, events=(Event("TRANSACTION.SUCCESS"),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(name="paid together with others", weight=4, events=(Event(COMBINED),), status=Status.PAID, paid=ALL),
    Template(
        name="paid, and shared out",
        weight=4,
        events=(Event("TRANSACTION.SUCCESS"), Event(SHARED_OUT, 2)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="a deduction that failed", weight=3, events=(Event(DEDUCTION_FAILED),), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=10,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", 4, "1"), Event("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=5,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.ABNORMAL", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.CLOSED", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        events=(Event("TRANSACTION.SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("TRANSACTION.SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class WeChatPaySigner(msgspec.Struct, frozen=True, kw_only=True):
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

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time, signed anew."""
        content = {"id": event.event_id, "create_time": rfc3339(event.at)}
        event_type, resource = self._resource(story, event)
        if event.event_type == SHARED_OUT:
            content["original_type"] = "profitsharing"
        return wechatpay_delivery(self.key, self.apiv3_key, now, event_type, resource, **content)

    def named(self, resource: Json) -> Json:
        """The resource in the names of a service provider, if it is one's."""
        if self.sub_mch_id is None:
            return resource
        content = {name: value for name, value in resource.items() if name not in {"mchid", "appid"}}
        app = {"sp_appid": self.app_id} if "appid" in resource else {}
        return {"sp_mchid": self.mch_id, **app, "sub_mchid": self.sub_mch_id, **content}

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

    def _resource(self, story: Story, event: StoryEvent) -> tuple[str, Json]:
        if event.event_type == COMBINED:
            return self.pays, self._combined(story, event)
        if event.event_type == SHARED_OUT:
            return self.pays, self._shared_out(story, event)
        if event.event_type == DEDUCTION_FAILED:
            failed = self.transaction(story, amount=event.amount, at=event.at, trade_state=DEDUCTION_FAILED)
            return "TRANSACTION.FAIL", {name: it for name, it in failed.items() if name not in ONLY_WHEN_PAID}
        if event.event_type == self.pays:
            return self.pays, self.transaction(story, amount=event.amount, at=event.at)
        return event.event_type, self._refund(story, event)

    def _refund(self, story: Story, event: StoryEvent) -> Json:
        return self.named(
            wechatpay_refund(
                mch_id=self.mch_id,
                order_ref=story.order_ref,
                payment_ref=story.payment_ref,
                refund_ref=wechatpay_refund_id(event.refund_ref),
                refund=event.amount,
                total=story.amount,
                at=event.at,
                refund_status=event.event_type.removeprefix("REFUND."),
                out_refund_no=event.refund_ref,
            )
        )

    def _combined(self, story: Story, event: StoryEvent) -> Json:
        """Its orders say total_amount for total, and one of them is another merchant's."""
        paid = self.transaction(story, amount=event.amount, at=event.at)
        amounts = {"total_amount": event.amount, "payer_amount": event.amount}
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

    def _shared_out(self, story: Story, event: StoryEvent) -> Json:
        return self.named(
            {
                "mchid": self.mch_id,
                "transaction_id": story.payment_ref,
                "order_id": "3008450740201411110007820472",
                "out_order_no": f"S{story.order_ref}",
                "receiver": {
                    "type": "MERCHANT_ID",
                    "account": ANOTHERS,
                    "amount": event.amount,
                    "description": "分账给门店",
                },
                "success_time": rfc3339(event.at),
            }
        )


ONLY_WHEN_PAID: Final = frozenset({"transaction_id", "trade_type", "bank_type", "success_time", "payer"})


def provider_of(signer: WeChatPaySigner) -> WeChatPaySigner:
    """The same account as a service provider's (服务商), who serves one sub-merchant."""
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
