"""Signs as WeChat Pay does."""

import json
from base64 import b64encode
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.sandbox.formats import Json, Signed, word_of
from tillkeeper.sandbox.simulators.wechatpay.objects import (
    rfc3339,
    wechatpay_refund,
    wechatpay_refund_id,
    wechatpay_transaction,
)
from tillkeeper.sandbox.simulators.wechatpay.templates import COMBINED, DEDUCTION_FAILED, SHARED_OUT
from tillkeeper.sandbox.story import Story, StoryEvent

ANOTHERS: Final = "1900000199"


class WeChatPayKey(msgspec.Struct, frozen=True):
    """A key of WeChat Pay's: a platform certificate's serial or a public key's id, and the private half."""

    serial: str
    private_key: RSAPrivateKey


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

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same notice each time, signed anew."""
        content = {"id": event.event_id, "create_time": rfc3339(event.at)}
        event_type, resource = self._resource(story, event)
        if event.event_type == SHARED_OUT:
            content["original_type"] = "profitsharing"
        return wechatpay_delivery(self.key, self.apiv3_key, now, event_type, resource, **content)

    def named(self, resource: Json) -> Json:
        """Returns the resource in the names of a service provider, if it is one's."""
        if self.sub_mch_id is None:
            return resource
        content = {name: value for name, value in resource.items() if name not in {"mchid", "appid"}}
        app = {"sp_appid": self.app_id} if "appid" in resource else {}
        return {"sp_mchid": self.mch_id, **app, "sub_mchid": self.sub_mch_id, **content}

    def transaction(self, story: Story, *, amount: int, at: datetime, **more: object) -> Json:
        """Returns a transaction, in notices and in answers alike."""
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
            return "TRANSACTION.FAIL", {name: value for name, value in failed.items() if name not in ONLY_WHEN_PAID}
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
        ours = {
            name: value for name, value in paid.items() if name not in {"sp_mchid", "appid", "sp_appid", "payer"}
        } | {
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


def wechatpay_delivery(
    key: WeChatPayKey, apiv3_key: str, now: datetime, event_type: str, resource: Json, /, **notice: Any
) -> Signed:
    """Returns a signed notice; the resource is encrypted within.  `notice` are fields of the notice, such as `id`, and
    `original_type`, which stands within its resource."""
    plain = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
    return wechatpay_signed(key, now, wechatpay_body(apiv3_key, now, event_type, plain, **notice))


def wechatpay_signed(key: WeChatPayKey, now: datetime, body: bytes) -> Signed:
    """Any body with WeChat Pay's headers."""
    timestamp, nonce = str(int(now.timestamp())), word_of("header", body.hex())
    signature = key.private_key.sign(f"{timestamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
    return {
        "Content-Type": "application/json",
        "User-Agent": "Mozilla/4.0",
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": key.serial,
        "Wechatpay-Signature": b64encode(signature).decode(),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }, body


def wechatpay_body(
    apiv3_key: str, now: datetime, event_type: str, plain: bytes, /, original_type: str | None = None, **notice: Any
) -> bytes:
    """Returns the notice around any plaintext, whose kind the event_type does not always tell."""
    kind = original_type or ("refund" if event_type.startswith("REFUND") else "transaction")
    nonce = word_of(event_type, plain.hex())[:12]
    sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plain, kind.encode())
    return json.dumps(
        {
            "id": word_of(event_type, plain.hex(), "id"),
            "create_time": rfc3339(now),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "支付成功" if kind == "transaction" else "退款结果",
            "resource": {
                "original_type": kind,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": b64encode(sealed).decode(),
                "associated_data": kind,
                "nonce": nonce,
            },
        }
        | notice,
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
