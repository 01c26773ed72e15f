"""Signs as Lakala does."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.sandbox.formats import Json, Signed, compact_json, shanghai_digits
from tillkeeper.sandbox.ledger.payments import PaymentState
from tillkeeper.sandbox.simulators.lakala.templates import EVENT_TYPES, PAID, UNTOLD
from tillkeeper.sandbox.story import Story, StoryEvent

SCHEME: Final = "LKLAPI-SHA256withRSA"

ORDER_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "0",
    PaymentState.PENDING: "1",
    PaymentState.SUCCEEDED: "2",
    PaymentState.FAILED: "3",
    PaymentState.CANCELLED: "4",
}


class LakalaSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Lakala's, with the platform's key and the merchant's, which signs queries."""

    gateway: ClassVar[str] = "lakala"
    pays: ClassVar[str] = PAID
    signs_time: ClassVar[bool] = False  # it signs one, and nothing says how old it may be
    amount_follows: ClassVar[bytes | None] = b'"trade_amount":'

    account: str
    merchant_no: str
    app_id: str
    serial: str
    key: RSAPrivateKey
    merchant_key: RSAPrivateKey

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Returns the same notice each time, signed anew."""
        return self.sent(compact_json(self.notice(story, event)), now=now, nonce=nonce_of(event.event_id, again))

    def sent(self, body: bytes, *, now: datetime, nonce: str = "9003323344") -> Signed:
        """Returns a POST of this body, signed."""
        timestamp = str(int(now.timestamp()))
        signature = sign(self.key, (timestamp, nonce), body)
        content = f'timestamp="{timestamp}", nonce_str="{nonce}", signature="{signature}"'
        return {"Content-Type": "application/json", "Authorization": f"{SCHEME} {content}"}, body

    def notice(self, story: Story, event: StoryEvent) -> Json:
        """Returns the order, and the one trade that the notice is about."""
        kind, _, status = event.event_type.partition(".")
        if event.event_type == UNTOLD:
            trade = pay_trade(story, story.amount, "S", event.at)
            return self.order(story, UNTOLD[-1]) | {"order_trade_info": trade}
        if kind == "ORDER":
            return self.order(story, status)
        if kind == "REFUND":
            trade = refund_trade(story, event.refund_ref, event.amount, status, event.at)
            return self.order(story, "6") | {"order_trade_info": trade}
        order_status = ORDER_STATUSES[cast("PaymentState", EVENT_TYPES[event.event_type])]
        trade = pay_trade(story, event.amount, status, event.at)
        return self.order(story, order_status) | {"order_trade_info": trade}

    def order(self, story: Story, status: str) -> Json:
        """Returns what an order says whatever became of it."""
        return {
            "pay_order_no": pay_order_no(story),
            "out_order_no": story.order_ref,
            "channel_id": "15",
            "trans_merchant_no": self.merchant_no,
            "trans_term_no": "D0060389",
            "merchant_no": self.merchant_no,
            "term_no": "D0060389",
            "order_status": status,
            "order_info": "till",
            "total_amount": story.amount,
            "order_create_time": shanghai_digits(story.started_at),
            "order_efficient_time": shanghai_digits(story.started_at + timedelta(hours=1)),
        }


def pay_trade(story: Story, amount: int, status: str, at: datetime) -> Json:
    """Returns a payment's trade."""
    return _trade(story.payment_ref, "PAY", amount, status, at)


def refund_trade(story: Story, refund_ref: str, amount: int, status: str, at: datetime) -> Json:
    """Returns a refund's trade, known by Lakala's number for it."""
    return _trade(refund_ref, "REFUND", amount, status, at) | {"origin_trade_no": story.payment_ref}


def _trade(trade_no: str, kind: str, amount: int, status: str, at: datetime) -> Json:
    return {
        "trade_no": trade_no,
        "log_no": hashlib.sha256(trade_no.encode()).hexdigest()[:14],
        "trade_type": kind,
        "trade_status": status,
        "trade_amount": amount,
        "payer_amount": amount,
        "busi_type": "SCPAY",
        "trade_time": "" if status == "P" else shanghai_digits(at),
        "acc_trade_no": "2022011822001470651424354488",
        "acc_type": "00",
        "pay_mode": "ALIPAY",
        "result_desc": "余额不足" if status == "F" else "",
    }


def sign(key: RSAPrivateKey, lines: tuple[str, ...], body: bytes) -> str:
    """RSA over the lines and the body, each with its line end, in base64."""
    signed = b"".join(part + b"\n" for part in (*(line.encode() for line in lines), body))
    return b64encode(key.sign(signed, PKCS1v15(), SHA256())).decode()


def nonce_of(event_id: str, again: int) -> str:
    """Twelve characters."""
    return hashlib.sha256(f"{event_id}{again}".encode()).hexdigest()[:12]


def pay_order_no(story: Story) -> str:
    """Lakala's number for the order, which is not that of a payment."""
    return f"2109{int(hashlib.sha256(story.order_ref.encode()).hexdigest()[:20], 16):025d}"[:29]
