"""Shopee Open Platform: a push says that an order changed, signed over our own URL; its API says what became of it.

Shopee takes the buyer's money itself: an order of the shop is its payment as well, and both have its one number.
Checked against documents only, for there is no official package.
Sources: minchao/shopee-php (`SignatureGenerator`, `examples/webhook`) for the push; Shopee's pages on push mechanism,
on "v2.order.get_order_detail" and on signing calls.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import queried
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.shopee import api

SIGNATURE_HEADER: Final = "authorization"  # holds the signature alone, and no credential
ORDER_STATUS_PUSH: Final = 3
UNPAID: Final = "UNPAID"
CANCELLED: Final = "CANCELLED"
COMPLETED: Final = "COMPLETED"
TO_RETURN: Final = "TO_RETURN"

# Those that say that the buyer paid, but for cash on delivery.
PAID_STATUSES: Final = frozenset(
    {
        "READY_TO_SHIP",
        "PROCESSED",
        "RETRY_SHIP",
        "SHIPPED",
        "TO_CONFIRM_RECEIVE",
        "INVOICE_PENDING",
        "IN_CANCEL",  # asked for, and not yet granted
        TO_RETURN,
        COMPLETED,
    }
)

# Pieces of cancel_reason, in small letters; then who cancelled.
CANCEL_REASONS: Final = {
    "unpaid order": FailureClass.EXPIRED_UNPAID,
    "fraud": FailureClass.SUSPECTED_FRAUD,
}
CANCELLED_BY: Final = {"buyer": FailureClass.USER_CANCELLED}
REASON_CHARS_MAX: Final = 64

Number = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")]


class ShopeeSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "shopee"`."""

    gateway: Literal["shopee"]
    partner_keys: Secrets = Field(
        description="The app's partner key, as the text that the console shows.  While it is replaced name both, the "
        "new one first: that one signs our questions."
    )
    push_url: str = Field(
        pattern=r"^https?://[!-~]+$",
        description="The push URL that is registered for the app, letter for letter: it is part of what Shopee signs.",
    )
    partner_id: Number = Field(description="The app's partner id.")
    shop_id: Number = Field(
        description="The shop's id.  All shops of an app push to one URL: pushes about others are answered with "
        "success and change nothing."
    )
    access_token: OptionalSecret = Field(
        default=None,
        description="The shop's access token, with which Shopee is asked; it ends after four hours, so that whoever "
        "refreshes it must write it anew.  Without it no push comes to anything, for none tells an amount.",
    )
    api_base: ApiBase = "https://partner.shopeemobile.com"


ABOUT: Final = About(
    title="Shopee",
    title_zh="虾皮",
    verifies="HMAC-SHA256 over the registered URL and the body; several keys at once; no time is signed",
    dedupes_by="the order that it names, which is asked about: what the answer says makes the event",
    acknowledges="200 without a body, also for the push that tests the URL",
    queries="orders by their number, which is the payment's as well; each push is asked about, for it tells no amount",
    refunds_seen="that the order was cancelled, which gives all back",
    checked="documents only",
    sources=(
        "minchao/shopee-php, `SignatureGenerator` and `examples/webhook`",
        'Shopee Open Platform, "Push Mechanism", "v2.order.get_order_detail" and the page on signing calls',
        "not confirmed: the error words of the API, how long a push may take, and when it is repeated",
    ),
)


class Shopee(Gateway):
    """One shop of one app."""

    name: ClassVar[str] = "shopee"
    settings: ClassVar[type[AccountModel]] = ShopeeSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment", "order"})
    single_payment: ClassVar[bool] = True  # an order is its payment
    own_url: ClassVar[str | None] = "push_url"
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: ShopeeSettings) -> None:
        self.account = account
        self._keys = HmacKeys("partner_keys", settings.partner_keys)
        self._signed_prefix = f"{settings.push_url}|".encode()
        self._shop_id = int(settings.shop_id)
        self._signer = api.Signer(
            partner_id=settings.partner_id,
            partner_key=settings.partner_keys[0],
            shop_id=settings.shop_id,
            access_token=settings.access_token,
            api_base=settings.api_base,
        )

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """The URL is the registered one, for behind a proxy the receiver sees another."""
        key = self._keys.label_of(self._signed_prefix + request.body, request.header(SIGNATURE_HEADER))
        return Verified(key=key, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """One for each partner key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:  # noqa: ARG002 - see queries_for
        """None: a push tells neither an amount nor whether it is cash on delivery."""
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The order that a push about this shop's orders names, unless nobody paid yet."""
        push = strictjson.json_of(verified)
        if integer(push, "code") != ORDER_STATUS_PUSH or integer(push, "shop_id") != self._shop_id:
            return ()  # 0 tests the URL when it is saved
        ref = reference_or_none(text(push, "data", "ordersn"))
        if ref is None:
            raise BadPayload("data.ordersn is no order's number")
        if text(push, "data", "status") == UNPAID:
            return ()
        return (Query(about="payment", order_ref=ref, payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The order that a push names."""
        try:
            ref = reference_or_none(at(strictjson.loads_unsigned(request.body), ["data", "ordersn"]))
        except BadPayload:
            return None
        return None if ref is None else ClaimedReferences(order_ref=ref, payment_ref=ref)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - no nonce is signed
        """The order of that number."""
        return self._signer.call(query, now)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:  # noqa: ARG002 - orders tell times
        """What the order says of its payment.  A merchant may have registered it under a reference of their own."""
        order = api.order_in(query, response)
        if order is None:
            return Answer(found=False)
        told = (queried(it) for it in self._events_of(order))
        named = (msgspec.structs.replace(it, order_ref=query.order_ref or it.order_ref) for it in told)
        return Answer(found=True, events=tuple(named))

    def _events_of(self, order: object) -> Iterator[PaymentEvent]:
        status = text(order, "order_status")
        currency = units.known_currency("currency", text(order, "currency").upper())
        if currency is None:
            return
        updated_at = moment_from_unix(integer(order, "update_time"))
        if status == CANCELLED:
            yield from self._cancelled(order, updated_at)
        elif status in PAID_STATUSES:
            yield from self._paid(order, status, updated_at)
        elif status != UNPAID:
            unknown_word("order_status", status)

    def _paid(self, order: object, status: str, updated_at: datetime) -> Iterator[PaymentEvent]:
        """Cash on delivery is on its way until the order is completed."""
        if _is_cash_on_delivery(order) and status != COMPLETED:
            yield self._event(order, Kind.PAYMENT_PENDING, updated_at)
        else:
            yield self._event(order, Kind.PAYMENT_SUCCEEDED, _paid_at(order) or updated_at)
        if status == TO_RETURN:  # how it ends the order does not tell
            ref = f"{text(order, 'order_sn')}-return"
            yield msgspec.structs.replace(self._event(order, Kind.DISPUTE_OPENED, updated_at), dispute_ref=ref)

    def _cancelled(self, order: object, updated_at: datetime) -> Iterator[PaymentEvent]:
        """What was paid before it was cancelled went back whole; Shopee names no refund, so the order names it."""
        paid_at = None if _is_cash_on_delivery(order) else _paid_at(order)
        if paid_at is None:
            failure, code = _why(order)
            event = self._event(order, Kind.PAYMENT_CANCELLED, updated_at)
            yield msgspec.structs.replace(event, failure=failure, failure_code=code)
            return
        yield self._event(order, Kind.PAYMENT_SUCCEEDED, paid_at)
        ref = f"{text(order, 'order_sn')}-cancelled"
        refund = self._event(order, Kind.REFUND_SUCCEEDED, updated_at)
        yield msgspec.structs.replace(refund, refund_ref=ref, method=None)

    def _event(self, order: object, kind: Kind, when: datetime) -> PaymentEvent:
        ref, currency = text(order, "order_sn"), text(order, "currency").upper()
        return PaymentEvent(
            event_id="",
            kind=kind,
            account=self.account,
            occurred_at=when,
            order_ref=ref,
            payment_ref=ref,
            amount=units.from_major(at(order, ["total_amount"]), currency),
            currency=currency,
            method=text_or_none(order, "payment_method") if kind.is_payment else None,
        )


def _is_cash_on_delivery(order: object) -> bool:
    """Raises BadPayload where nothing tells, for then it would pass for paid."""
    told = at(order, ["cod"])
    if type(told) is not bool:
        raise BadPayload("cod is not true or false")
    return told or "cash on delivery" in (text_or_none(order, "payment_method") or "").lower()


def _paid_at(order: object) -> datetime | None:
    """Null or 0 before it was paid."""
    return None if at(order, ["pay_time"]) in (None, 0) else moment_from_unix(integer(order, "pay_time"))


def _why(order: object) -> tuple[FailureClass, str | None]:
    reason, by = text_or_none(order, "cancel_reason"), text_or_none(order, "cancel_by")
    code = reason[:REASON_CHARS_MAX] if reason else by
    found = (failure for piece, failure in CANCEL_REASONS.items() if piece in (reason or "").lower())
    return next(found, CANCELLED_BY.get((by or "").lower(), FailureClass.UNKNOWN)), code
