"""Signs as ShengPay does."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from tillkeeper.sandbox.formats import Json, Signed, compact_json, shanghai_digits
from tillkeeper.sandbox.ledger.payments import RefundState
from tillkeeper.sandbox.simulators.shengpay.templates import BOUND, EVENT_TYPES, PAID
from tillkeeper.sandbox.story import Story, StoryEvent

HASHES: Final[Mapping[str, HashAlgorithm]] = {"RSA2": SHA256(), "RSA": SHA1()}  # noqa: S303 - ShengPay's own

REFUND: Final = "REFUND."

JSON_TYPE: Final = "application/json; charset=UTF-8"


class ShengPaySigner(msgspec.Struct, frozen=True, kw_only=True):
    """ShengPay's, with its own key and the merchant's, which signs queries."""

    gateway: ClassVar[str] = "shengpay"
    pays: ClassVar[str] = PAID
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"totalFee":'

    account: str
    mch_id: str
    app_id: str
    key: RSAPrivateKey
    merchant_key: RSAPrivateKey
    sign_type: str = "RSA2"

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same notice each time: nothing in it tells when it was sent."""
        if event.event_type == BOUND:
            return self.sent(self.card(story))
        if event.event_type.startswith(REFUND):
            return self.sent(self.refund(story, event))
        return self.sent(self.payment(story, event))

    def sent(self, fields: Json) -> Signed:
        """Returns a POST of these fields, signed."""
        return {"Content-Type": JSON_TYPE}, compact_json(self.signed(fields))

    def signed(self, fields: Json) -> Json:
        """Returns the fields with their signature."""
        content = fields | {"signType": self.sign_type}
        return content | {"sign": sign(self.key, content, self.sign_type)}

    def payment(self, story: Story, event: StoryEvent) -> Json:
        """Returns a payment that succeeded, or that was declined."""
        content = self._common() | {
            "resultCode": event.event_type,
            "openId": "15",
            "tradeType": "MWEB",
            "transactionId": story.payment_ref,
            "outTradeNo": story.order_ref,
            "totalFee": event.amount,
            "bankType": "ICBC",
            "attach": '{"cardType":"DR"}',
            "cardNo": "1234",
            "cardType": "DC",
        }
        return content | ({"timeEnd": shanghai_digits(event.at)} if event.event_type == PAID else {"timeEnd": ""})

    def refund(self, story: Story, event: StoryEvent) -> Json:
        """Returns a refund's notice, with its amounts as texts."""
        status = event.event_type.removeprefix(REFUND)
        return self._common() | {
            "resultCode": "FAIL" if EVENT_TYPES[event.event_type] is RefundState.FAILED else "SUCCESS",
            "transactionId": story.payment_ref,
            "outTradeNo": story.order_ref,
            "refundId": refund_id_of(event.refund_ref),
            "outRefundNo": event.refund_ref,
            "totalFee": str(story.amount),
            "settlementTotalFee": str(story.amount),
            "refundFee": str(event.amount),
            "settlementRefundFee": str(event.amount),
            "refundStatus": status,
            "refundSuccessTime": shanghai_digits(event.at) if status == "SUCCESS" else "",
            "refundRequestSource": "API",
        }

    def card(self, story: Story) -> Json:
        """Returns a card that was bound as the order was paid."""
        return {
            "mchId": self.mch_id,
            "appId": self.app_id,
            "unionId": "9A2CE6A3FA1AFB3302F643D3B817AD5B",
            "eventType": BOUND,
            "bankCode": "ICBC",
            "bankName": "中国工商银行",
            "cardType": "DR",
            "cardNoBack4": "1234",
            "agreementNo": f"AGR{story.order_ref}",
            "resultCode": "SUCCESS",
            "nonceStr": "BindCardNotifyNonce",
        }

    def _common(self) -> Json:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        done = {"returnCode": "SUCCESS", "returnMsg": "SUCCESS"}
        return done | {"appId": self.app_id, "mchId": self.mch_id, "nonceStr": nonce}


def text_of(fields: Mapping[str, object]) -> str:
    """Returns what is signed: `name=value` sorted by name; what is blank, and the signature itself, do not take
    part."""
    parts = []
    for name in sorted(fields.keys() - {"sign"}):
        value = fields[name]
        if value not in (None, ""):
            parts.append(f"{name}={value if isinstance(value, str) else json.dumps(value)}")
    return "&".join(parts)


def sign(key: RSAPrivateKey, fields: Mapping[str, object], sign_type: str) -> str:
    """RSA over the text, in base64."""
    return b64encode(key.sign(text_of(fields).encode(), PKCS1v15(), HASHES[sign_type])).decode()


def refund_id_of(refund_ref: str) -> str:
    """ShengPay's own number for a refund."""
    return f"RFWP{hashlib.sha256(refund_ref.encode()).hexdigest()[:16]}"
