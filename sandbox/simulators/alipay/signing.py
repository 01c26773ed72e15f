"""Signs as Alipay does."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.simulators.alipay.objects import (
    AlipayTrade,
    alipay_closed,
    alipay_finished,
    alipay_pending,
    alipay_refund,
    alipay_success,
)
from tillkeeper.sandbox.story import Story, StoryEvent


class AlipaySigner(msgspec.Struct, frozen=True, kw_only=True):
    """Alipay's, with Alipay's own key for one app."""

    gateway: ClassVar[str] = "alipay"
    pays: ClassVar[str] = "TRADE_SUCCESS"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"total_amount="

    account: str
    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    app_key: RSAPrivateKey  # the merchant's, which signs queries

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same notice each time: Alipay signs no time of sending."""
        paid = [told for told in (*story.events, event) if told.event_type == self.pays]
        trade = AlipayTrade(
            app_id=self.app_id,
            seller_id=self.seller_id,
            order_ref=story.order_ref,
            payment_ref=story.payment_ref,
            amount=paid[0].amount if paid else story.amount,
            created_at=min(told.at for told in (*story.events, event)),
            charset="gbk" if story.order_ref.endswith("5") else "utf-8",  # merchants choose either
        )
        more = {"notify_id": event.event_id}
        match event.event_type:
            case "WAIT_BUYER_PAY":
                fields = alipay_pending(trade, **more)
            case "TRADE_SUCCESS":
                fields = alipay_success(trade, event.at, **more)
            case "TRADE_FINISHED":
                fields = alipay_finished(trade, paid[0].at, event.at, **more)
            case "TRADE_CLOSED":
                fields = alipay_closed(trade, event.at, **more)
            case "refunded":
                total, refund_ref = event.amount, event.refund_ref
                fields = alipay_refund(trade, paid[0].at, event.at, total=total, refund_ref=refund_ref, **more)
            case event_type:
                raise AssertionError(f"Alipay has no word {event_type}")
        return alipay_delivery(self.private_key, fields)


def alipay_delivery(private_key: RSAPrivateKey, fields: Mapping[str, str]) -> Signed:
    """Returns a notice, signed over all its fields and in its own charset."""
    charset = fields["charset"]
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return alipay_form(list(fields.items()), alipay_signature(private_key, text.encode(charset)), charset)


def alipay_signature(private_key: RSAPrivateKey, text: bytes) -> str:
    """RSA2 over any text."""
    return b64encode(private_key.sign(text, PKCS1v15(), SHA256())).decode()


def alipay_form(pairs: Sequence[tuple[str, str]], sign: str, charset: str) -> Signed:
    """Any fields with a signature in their midst, where Alipay puts it."""
    half = len(pairs) // 2
    form = [*pairs[:half], ("sign", sign), ("sign_type", "RSA2"), *pairs[half:]]
    return {
        "Content-Type": f"application/x-www-form-urlencoded; charset={charset}",
        "User-Agent": "Mozilla/4.0",
    }, urlencode(form, encoding=charset).encode()
