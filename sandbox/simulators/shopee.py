"""A simulated Shopee: pushes that name an order and its status, and the API that tells the rest.

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

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.statuses import Status

PATH: Final = "/api/v2/order/get_order_detail"
CASH: Final = "(cash on delivery)"
AFTER_PAYMENT: Final = "(after it was paid)"
SIGNED_FOR: Final = timedelta(minutes=5)


class ShopeeSigner(msgspec.Struct, frozen=True, kw_only=True):
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

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same push each time."""
        status, told_at = event.event_type.partition(" ")[0], int(event.at.timestamp())
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
    content = {"error": "", "message": "", "request_id": "cbb9c0ea", "response": {"order_list": list(orders)}}
    return _encoder.encode(content)


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def shopee_sign(signer: ShopeeSigner, timestamp: str) -> str:
    """The signature of a call for an order's details."""
    signed = signer.partner_id + PATH + timestamp + signer.access_token + signer.shop_id
    return hmac.digest(signer.partner_key.encode(), signed.encode(), "sha256").hex()


class ShopeeApi:
    """One shop's orders."""

    def __init__(self, signer: ShopeeSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        """One query."""
        if request.method != "GET" or request.path != PATH:
            return _error(404, "error_path", "The path is unknown.")
        if (refusal := self._refusal(request, now)) is not None:
            return refusal
        order_sn = request.first("order_sn_list") or ""
        record = self._ledger.payment_of_order(self.account, order_sn, as_of)
        record = record or self._ledger.payment(self.account, order_sn, as_of)  # one thing, by either reference
        if record is None:
            return _error(200, "error_not_found", "Wrong parameters, detail: the order is not found.")
        order = _order_of(record, as_of) | {"order_sn": order_sn}
        body, summary = shopee_answer(order), order["order_status"]
        return ApiResponse(body=body, about="payment", ref=order_sn, order_ref=record.story.order_ref, summary=summary)

    def _refusal(self, request: ApiRequest, now: datetime) -> ApiResponse | None:
        content = {name: request.first(name) for name in ("partner_id", "shop_id", "access_token", "timestamp", "sign")}
        timestamp = content["timestamp"] or ""
        if not timestamp.isdigit() or abs(now.timestamp() - int(timestamp)) > SIGNED_FOR.total_seconds():
            return _error(403, "error_auth", "Invalid timestamp.")
        ours = {"partner_id": self._signer.partner_id, "shop_id": self._signer.shop_id}
        if any(content[name] != value for name, value in ours.items()) or content["sign"] != shopee_sign(
            self._signer, timestamp
        ):
            return _error(403, "error_sign", "Wrong sign.")
        return None

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Shopee's words for trouble of its own."""
        return _error(status, "error_server", "Something wrong. Please try later.")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)


def _order_of(record: PaymentRecord, as_of: datetime) -> Json:
    """As its last word says; paid when the first word that pays was said."""
    story = record.story
    content = [it for it in story.events if it.at <= as_of]
    event_type, updated_at = (content[-1].event_type, content[-1].at) if content else ("UNPAID", story.started_at)
    status, is_cash = event_type.partition(" ")[0], any(CASH in it.event_type for it in content)
    more: Json = {
        "cod": is_cash,
        "payment_method": "Cash on Delivery" if is_cash else "Credit/Debit Card",
        "update_time": int(updated_at.timestamp()),
        "pay_time": None if record.paid_at is None else int(record.paid_at.timestamp()),
    }
    if status == "CANCELLED":
        by_buyer = record.paid_at is not None
        more |= {"cancel_by": "buyer"} if by_buyer else {"cancel_by": "system", "cancel_reason": "Unpaid Order"}
    amount = shopee_amount(record.captured or story.amount, story.currency)
    return shopee_order(story.order_ref, amount, story.currency, status, **more)


def shopee_amount(minor: int, currency: str) -> Decimal:
    """In major units, with a decimal point also where the currency has no decimals."""
    major = Decimal(minor).scaleb(-EXPONENTS[currency])
    return major if major.as_tuple().exponent else major.quantize(Decimal("0.1"))


def _error(status: int, error: str, message: str) -> ApiResponse:
    body = json.dumps({"error": error, "message": message, "request_id": "cbb9c0ea"}).encode()
    return ApiResponse(status=status, body=body, about="nothing", summary=error)


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        events=(Event("UNPAID"), Event("READY_TO_SHIP"), Event("SHIPPED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and received",
        weight=12,
        events=(Event("READY_TO_SHIP"), Event("SHIPPED"), Event("TO_CONFIRM_RECEIVE"), Event("COMPLETED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="not paid yet", weight=6, events=(Event("UNPAID"),), status=Status.UNPAID),
    Template(
        name="never paid",
        weight=8,
        events=(Event("UNPAID"), Event("CANCELLED")),
        status=Status.FAILED,
    ),
    Template(
        name="cash on delivery, on its way",
        weight=6,
        events=(Event(f"READY_TO_SHIP {CASH}"), Event(f"SHIPPED {CASH}")),
        status=Status.PROCESSING,
    ),
    Template(
        name="cash on delivery, paid at the door",
        weight=6,
        events=(Event(f"SHIPPED {CASH}"), Event(f"COMPLETED {CASH}")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="cash on delivery, refused at the door",
        weight=3,
        events=(Event(f"SHIPPED {CASH}"), Event(f"CANCELLED {CASH}")),
        status=Status.FAILED,
    ),
    Template(
        name="cancelled after it was paid",
        weight=6,
        events=(Event("READY_TO_SHIP"), Event("IN_CANCEL"), Event(f"CANCELLED {AFTER_PAYMENT}", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="sent back",
        weight=3,
        events=(Event("READY_TO_SHIP"), Event("SHIPPED"), Event("TO_RETURN")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("READY_TO_SHIP", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("READY_TO_SHIP"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("READY_TO_SHIP"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_signer(account: str) -> ShopeeSigner:
    return ShopeeSigner(
        account=account,
        partner_key=f"shpk{secrets.token_hex(28)}",
        partner_id="2000639",
        shop_id="37698001",
        push_url=f"https://till.example/webhooks/{account}",
        access_token=secrets.token_hex(16),
    )


def _impostor(signer: Signer) -> ShopeeSigner:
    return msgspec.structs.replace(cast("ShopeeSigner", signer), partner_key=f"shpk{secrets.token_hex(28)}")


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("ShopeeSigner", signer)
    return {
        "partner_keys": [Secret(signer.partner_key)],
        "push_url": signer.push_url,
        "partner_id": signer.partner_id,
        "shop_id": signer.shop_id,
        "access_token": Secret(signer.access_token),
    }


EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState]] = {
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

SIMULATOR: Final = Simulator(
    gateway="shopee",
    event_types=EVENT_TYPES,
    ignored=frozenset({"UNPAID"}),
    fetched=frozenset(EVENT_TYPES) - {"UNPAID"},
    templates=TEMPLATES,
    currencies=("IDR", "VND", "TWD", "SGD", "MYR", "THB", "BRL"),
    payment_prefix="",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: ShopeeApi(cast("ShopeeSigner", signer), ledger),
)
