"""Shopee as the sandbox plays it: pushes that name an order and its status, and the API that tells the rest.

Its words are statuses of the shop's order; what stands behind one in brackets is told by the API alone.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story
from sandbox.templates import ALL, Say, Template
from sandbox.truth.books import Known, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.order.status import Status

PATH: Final = "/api/v2/order/get_order_detail"
CASH: Final = "(cash on delivery)"
AFTER_PAYMENT: Final = "(after it was paid)"
SIGNED_FOR: Final = timedelta(minutes=5)


class ShopeeVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Shopee's, with an app's partner key and one shop."""

    gateway: ClassVar[str] = "shopee"
    pays: ClassVar[str] = "READY_TO_SHIP"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None  # a push tells none

    account: str
    partner_key: str
    partner_id: str
    shop_id: str
    push_url: str
    access_token: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same push each time."""
        status, told_at = happening.word.partition(" ")[0], int(happening.at.timestamp())
        body = shopee_push(story.order_ref, status, shop_id=int(self.shop_id), at=told_at)
        return shopee_signed(self.partner_key, self.push_url, body)


def shopee_signed(key: str, url: str, body: bytes) -> Signed:
    """Any body with Shopee's headers."""
    signature = hmac.digest(key.encode(), url.encode() + b"|" + body, "sha256").hex()
    return {"Content-Type": "application/json", "Authorization": signature}, body


def shopee_push(order_sn: str, status: str, *, shop_id: int, at: int, code: int = 3) -> bytes:
    """A push of a code about one order."""
    data = {"items": [], "ordersn": order_sn, "status": status, "completed_scenario": "", "update_time": at}
    push = {"data": data, "shop_id": shop_id, "code": code, "timestamp": at}
    return json.dumps(push, separators=(",", ":")).encode()


def shopee_order(order_sn: str, amount: Decimal, currency: str, status: str, /, **more: Any) -> Json:
    """An order as the API shows it: paid on line, unless `more` says otherwise.  The amount is in major units."""
    return {
        "order_sn": order_sn,
        "order_status": status,
        "region": currency[:2],
        "currency": currency,
        "cod": False,
        "total_amount": amount,
        "create_time": 1_790_000_000,
        "update_time": 1_790_000_000,
        "pay_time": 1_790_000_000,
        "payment_method": "Credit/Debit Card",
        "cancel_by": "",
        "cancel_reason": "",
        "days_to_ship": 2,
        "message_to_seller": "",
    } | more


def shopee_answer(*orders: Json) -> bytes:
    """The API's answer with these orders; numbers are written as Shopee writes them."""
    told = {"error": "", "message": "", "request_id": "cbb9c0ea", "response": {"order_list": list(orders)}}
    return _encoder.encode(told)


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def shopee_sign(voice: ShopeeVoice, timestamp: str) -> str:
    """The signature of a call for an order's details."""
    signed = voice.partner_id + PATH + timestamp + voice.access_token + voice.shop_id
    return hmac.digest(voice.partner_key.encode(), signed.encode(), "sha256").hex()


class ShopeeApi:
    """One shop's orders."""

    def __init__(self, voice: ShopeeVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:
        """One query."""
        if put.method != "GET" or put.path != PATH:
            return _error(404, "error_path", "The path is unknown.")
        if (refusal := self._refusal(put, now)) is not None:
            return refusal
        order_sn = put.first("order_sn_list") or ""
        books = self._ledger.payments_of_order(self.account, order_sn, knows_at)
        books = books or self._ledger.payment(self.account, order_sn, knows_at)  # one thing, by either reference
        if books is None:
            return _error(200, "error_not_found", "Wrong parameters, detail: the order is not found.")
        order = _order_of(books, knows_at) | {"order_sn": order_sn}
        body, said = shopee_answer(order), order["order_status"]
        return Told(body=body, about="payment", ref=order_sn, order_ref=books.story.order_ref, said=said)

    def _refusal(self, put: Put, now: datetime) -> Told | None:
        told = {name: put.first(name) for name in ("partner_id", "shop_id", "access_token", "timestamp", "sign")}
        timestamp = told["timestamp"] or ""
        if not timestamp.isdigit() or abs(now.timestamp() - int(timestamp)) > SIGNED_FOR.total_seconds():
            return _error(403, "error_auth", "Invalid timestamp.")
        ours = {"partner_id": self._voice.partner_id, "shop_id": self._voice.shop_id}
        if any(told[name] != value for name, value in ours.items()) or told["sign"] != shopee_sign(
            self._voice, timestamp
        ):
            return _error(403, "error_sign", "Wrong sign.")
        return None

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Shopee's words for trouble of its own."""
        return _error(status, "error_server", "Something wrong. Please try later.")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)


def _order_of(books: Known, knows_at: datetime) -> Json:
    """As its last word says; paid when the first word that pays was said."""
    story = books.story
    told = [it for it in story.happenings if it.at <= knows_at]
    word, updated_at = (told[-1].word, told[-1].at) if told else ("UNPAID", story.started_at)
    status, is_cash = word.partition(" ")[0], any(CASH in it.word for it in told)
    more: Json = {
        "cod": is_cash,
        "payment_method": "Cash on Delivery" if is_cash else "Credit/Debit Card",
        "update_time": int(updated_at.timestamp()),
        "pay_time": None if books.paid_at is None else int(books.paid_at.timestamp()),
    }
    if status == "CANCELLED":
        by_buyer = books.paid_at is not None
        more |= {"cancel_by": "buyer"} if by_buyer else {"cancel_by": "system", "cancel_reason": "Unpaid Order"}
    amount = shopee_amount(books.captured or story.amount, story.currency)
    return shopee_order(story.order_ref, amount, story.currency, status, **more)


def shopee_amount(minor: int, currency: str) -> Decimal:
    """In major units, with a decimal point also where the currency has no decimals."""
    major = Decimal(minor).scaleb(-EXPONENTS[currency])
    return major if major.as_tuple().exponent else major.quantize(Decimal("0.1"))


def _error(status: int, error: str, message: str) -> Told:
    body = json.dumps({"error": error, "message": message, "request_id": "cbb9c0ea"}).encode()
    return Told(status=status, body=body, about="nothing", said=error)


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        says=(Say("UNPAID"), Say("READY_TO_SHIP"), Say("SHIPPED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and received",
        weight=12,
        says=(Say("READY_TO_SHIP"), Say("SHIPPED"), Say("TO_CONFIRM_RECEIVE"), Say("COMPLETED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="not paid yet", weight=6, says=(Say("UNPAID"),), status=Status.UNPAID),
    Template(
        name="never paid",
        weight=8,
        says=(Say("UNPAID"), Say("CANCELLED")),
        status=Status.FAILED,
    ),
    Template(
        name="cash on delivery, on its way",
        weight=6,
        says=(Say(f"READY_TO_SHIP {CASH}"), Say(f"SHIPPED {CASH}")),
        status=Status.PROCESSING,
    ),
    Template(
        name="cash on delivery, paid at the door",
        weight=6,
        says=(Say(f"SHIPPED {CASH}"), Say(f"COMPLETED {CASH}")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="cash on delivery, refused at the door",
        weight=3,
        says=(Say(f"SHIPPED {CASH}"), Say(f"CANCELLED {CASH}")),
        status=Status.FAILED,
    ),
    Template(
        name="cancelled after it was paid",
        weight=6,
        says=(Say("READY_TO_SHIP"), Say("IN_CANCEL"), Say(f"CANCELLED {AFTER_PAYMENT}", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="sent back",
        weight=3,
        says=(Say("READY_TO_SHIP"), Say("SHIPPED"), Say("TO_RETURN")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        says=(Say("READY_TO_SHIP", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("READY_TO_SHIP"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("READY_TO_SHIP"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_voice(account: str) -> ShopeeVoice:
    return ShopeeVoice(
        account=account,
        partner_key=f"shpk{secrets.token_hex(28)}",
        partner_id="2000639",
        shop_id="37698001",
        push_url=f"https://till.example/webhooks/{account}",
        access_token=secrets.token_hex(16),
    )


def _impostor(voice: Voice) -> ShopeeVoice:
    return msgspec.structs.replace(cast("ShopeeVoice", voice), partner_key=f"shpk{secrets.token_hex(28)}")


def _settings(voice: Voice) -> Mapping[str, Setting]:
    voice = cast("ShopeeVoice", voice)
    return {
        "partner_keys": [Kept(voice.partner_key)],
        "push_url": voice.push_url,
        "partner_id": voice.partner_id,
        "shop_id": voice.shop_id,
        "access_token": Kept(voice.access_token),
    }


WORDS: Final[Mapping[str, PaymentState | RefundState]] = {
    "UNPAID": PaymentState.CREATED,
    "READY_TO_SHIP": PaymentState.SUCCEEDED,
    "SHIPPED": PaymentState.SUCCEEDED,
    "TO_CONFIRM_RECEIVE": PaymentState.SUCCEEDED,
    "IN_CANCEL": PaymentState.SUCCEEDED,
    "TO_RETURN": PaymentState.SUCCEEDED,
    "COMPLETED": PaymentState.SUCCEEDED,
    "CANCELLED": PaymentState.CANCELLED,
    f"READY_TO_SHIP {CASH}": PaymentState.PENDING,
    f"SHIPPED {CASH}": PaymentState.PENDING,
    f"COMPLETED {CASH}": PaymentState.SUCCEEDED,
    f"CANCELLED {CASH}": PaymentState.CANCELLED,
    f"CANCELLED {AFTER_PAYMENT}": RefundState.SUCCEEDED,
}

PLAY: Final = Play(
    gateway="shopee",
    words=WORDS,
    silent=frozenset({"UNPAID"}),
    fetched=frozenset(WORDS) - {"UNPAID"},
    templates=TEMPLATES,
    currencies=("IDR", "VND", "TWD", "SGD", "MYR", "THB", "BRL"),
    payment_prefix="",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: ShopeeApi(cast("ShopeeVoice", voice), ledger),
)
