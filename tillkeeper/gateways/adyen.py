"""Adyen: each item of a delivery is signed by itself, over eight of its fields; what became of it hangs on those alone.

    pspReference:originalReference:merchantAccountCode:merchantReference:value:currency:eventCode:success

Nothing in that text is escaped.  Only merchantReference may hold a colon, or one signature would fit two readings.
What is not signed (reason, eventDate, paymentMethod, the rest of additionalData) says why, when and how: it moves no
money.

A payment goes by the pspReference of its AUTHORISATION, which all that happens to it later has as originalReference;
its own pspReference is that of the capture, refund or dispute.  With `auto_capture` a payment counts as soon as it is
authorized.  A success absorbs whatever comes later, so what undoes it is told as something of its own:

- CAPTURE_FAILED (it comes with success "true") and EXPIRE: a lost dispute, which opens a case.  No refund, for the
  payer would be told of money that never left them.  Adyen may capture again by itself: whoever has the case sees it.
- CANCELLATION: with `auto_capture` what was counted goes back, so it is a refund.
- CANCEL_OR_REFUND: `modification.action`, which of both it was, is not signed.  With `auto_capture` it is a refund
  either way, for the payer has all of what was counted.  Without, it cancels the payment if nothing was captured, and
  opens a dispute besides: if something was, the payment stays as it is, and somebody must see that it went back.

Sources: the package `Adyen` (`util.py`) for the signature; Adyen/adyen-openapi, `json/Webhooks-v1.json`, for the codes
and the references they carry; docs.adyen.com, "Dispute webhooks", "Refusal reasons", "Currency codes and minor units".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar, Final, Literal, cast

import msgspec
from pydantic import Field, field_validator

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways import strictjson, units
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, Secrets
from tillkeeper.gateways.base import BadPayload, BadSignature, Gateway, Named, Reply, Request, Step, Verified
from tillkeeper.gateways.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.hmacs import HmacKeys

ITEMS_MAX: Final = 100  # deliveries in JSON hold one as a rule
BOOLEANS: Final = {"true": True, "false": False}  # as text, everywhere
COLON: Final = ":"
_METHOD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
KEY_HEX_DIGITS: Final = 64  # 32 bytes, as the Customer Area makes them
_HEX: Final = re.compile(r"([0-9A-Fa-f]{2})+", re.ASCII)
_CODE: Final = re.compile(r"[A-Z0-9_]{1,64}", re.ASCII)
_NO_LETTERS: Final = re.compile(r"[^A-Z0-9]+")
_LEADING_DIGITS: Final = re.compile(r"\d{2}(?!\d)", re.ASCII)

# Adyen's refusal reasons, in capitals and with _ for all that is no letter: "Not enough balance" is written either way.
REASONS: Final = {
    "NOT_ENOUGH_BALANCE": FailureClass.INSUFFICIENT_FUNDS,
    "WITHDRAWAL_AMOUNT_EXCEEDED": FailureClass.LIMIT_EXCEEDED,
    "WITHDRAWAL_COUNT_EXCEEDED": FailureClass.LIMIT_EXCEEDED,
    "EXPIRED_CARD": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_CARD_NUMBER": FailureClass.CARD_EXPIRED_OR_INVALID,
    "CVC_DECLINED": FailureClass.CARD_EXPIRED_OR_INVALID,
    "3D_NOT_AUTHENTICATED": FailureClass.BANK_VERIFICATION_FAILED,
    "3DS_AUTHENTICATION_ERROR": FailureClass.BANK_VERIFICATION_FAILED,
    "AUTHENTICATION_REQUIRED": FailureClass.BANK_VERIFICATION_FAILED,
    "AVS_DECLINED": FailureClass.BANK_VERIFICATION_FAILED,
    "INVALID_PIN": FailureClass.BANK_VERIFICATION_FAILED,
    "PIN_TRIES_EXCEEDED": FailureClass.BANK_VERIFICATION_FAILED,
    "BLOCKED_CARD": FailureClass.ACCOUNT_FROZEN,
    "RESTRICTED_CARD": FailureClass.ACCOUNT_FROZEN,
    "FRAUD": FailureClass.SUSPECTED_FRAUD,
    "FRAUD_CANCELLED": FailureClass.SUSPECTED_FRAUD,
    "ACQUIRER_FRAUD": FailureClass.SUSPECTED_FRAUD,
    "ISSUER_SUSPECTED_FRAUD": FailureClass.SUSPECTED_FRAUD,
    "CANCELLED": FailureClass.USER_CANCELLED,
    "SHOPPER_CANCELLED": FailureClass.USER_CANCELLED,
    "ISSUER_UNAVAILABLE": FailureClass.GATEWAY_FAULT,
    "ACQUIRER_ERROR": FailureClass.GATEWAY_FAULT,
    "PENDING": FailureClass.GATEWAY_FAULT,
    "TRANSACTION_NOT_PERMITTED": FailureClass.METHOD_UNAVAILABLE,
    "NOT_SUPPORTED": FailureClass.METHOD_UNAVAILABLE,
}

# The response codes of card schemes, as refusalReasonRaw begins: "51 : Insufficient funds".
RAW_REASONS: Final = {
    "14": FailureClass.CARD_EXPIRED_OR_INVALID,
    "41": FailureClass.ACCOUNT_FROZEN,
    "43": FailureClass.ACCOUNT_FROZEN,
    "51": FailureClass.INSUFFICIENT_FUNDS,
    "54": FailureClass.CARD_EXPIRED_OR_INVALID,
    "59": FailureClass.SUSPECTED_FRAUD,
    "61": FailureClass.LIMIT_EXCEEDED,
    "62": FailureClass.ACCOUNT_FROZEN,
    "65": FailureClass.LIMIT_EXCEEDED,
}


class AdyenSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "adyen"`."""

    gateway: Literal["adyen"]
    hmac_keys: Secrets = Field(
        description="The HMAC keys of the standard webhook, in hexadecimal as the Customer Area shows them.  Name the "
        "old one too until its last repetitions are through."
    )
    merchant_account: str = Field(
        min_length=1,
        pattern=r"^[^:]+$",
        description="The merchant account code.  What a company's webhook tells of its others changes nothing.",
    )
    auto_capture: bool = Field(
        default=True,
        description="Whether Adyen captures by itself, so that what is authorized is paid.  If false, each capture "
        "pays its part.",
    )
    live: bool | None = Field(
        default=None,
        description="Whether the account is of the live environment: deliveries of the other are refused.  Without it "
        "both are taken.",
    )

    @field_validator("hmac_keys")
    @classmethod
    def _are_hexadecimal(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HEX.fullmatch(key) for key in keys):
            raise ValueError("an HMAC key is not hexadecimal; copy it as the Customer Area shows it")
        if any(len(key) < KEY_HEX_DIGITS for key in keys):
            raise ValueError(f"an HMAC key has {KEY_HEX_DIGITS} hexadecimal digits; copy all of it")
        return keys


ABOUT: Final = About(
    title="Adyen",
    verifies="HMAC-SHA256 over eight fields of each item; several keys at once; no time is signed",
    uncovered="`reason`, `eventDate`, `paymentMethod`, `live` and the rest of `additionalData` are not signed: they "
    "tell why, how and when (which of two words on one refund or dispute is the later), and neither kind, references "
    "nor amounts hang on them; TLS protects them, and an item repeated with others changes nothing and opens a case",
    dedupes_by="`pspReference`, `eventCode` and `success`",
    acknowledges="200 with the body `[accepted]`",
    checked="the package `Adyen` signs and verifies",
    sources=(
        "the package `Adyen`, `util.py`",
        "Adyen/adyen-openapi, `json/Webhooks-v1.json`",
        'docs.adyen.com, "Dispute webhooks", "Refusal reasons", "Failure reasons", "Currency codes and minor units"',
        "not confirmed: that REFUND_FAILED and REFUNDED_REVERSED carry their REFUND's pspReference",
        "not confirmed: that a cancellation tells an amount (if it does not, it opens a case)",
    ),
    setup="""
    In the Customer Area, as a user who may manage webhooks, open Developers > Webhooks and add a Standard webhook.
    Enter your URL, choose JSON as its method, and the merchant account that `merchant_account` names.
    Under Security generate an HMAC key, copy it at once (it is shown only then), and store it as one of `hmac_keys`.
    Among the events leave all standard ones on; add the dispute events, EXPIRE, PENDING and OFFER_CLOSED.
    Under Additional settings have disputes carry the dispute's `pspReference` and the payment's `originalReference`.
    See Settings > Account settings for the capture delay: with manual capture set `auto_capture` to false.
    Send your order reference as the payment's `reference`, and none with captures, refunds and cancellations.
    With manual capture, cancel or refund and leave `reversals` alone: which of both one was is not signed, so that
      each opens a case.
    Register each order with this account among its `accounts`, in ISO 4217 minor units: where Adyen counts otherwise
      (CLP, CVE, IDR, ISK) it is converted.
    Set `live` to true for the live environment, and make an account of its own for the test environment: keys differ.
    Use Test configuration in the Customer Area: it must show that the webhook was accepted.
    To replace a key, name the new one beside the old one first; Adyen takes a while to sign with it.
    """,
)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a delivery: what is signed of it, and the whole, of which nothing else is."""

    psp_ref: str
    original_ref: str | None
    merchant_account: str
    order_ref: str | None
    value: int | None
    currency: str | None
    code: str
    success: str
    whole: object

    @property
    def signed(self) -> tuple[str, ...]:
        """The eight fields, in their order."""
        value = "" if self.value is None else str(self.value)
        head = (self.psp_ref, self.original_ref or "", self.merchant_account, self.order_ref or "")
        return (*head, value, self.currency or "", self.code, self.success)

    @property
    def succeeded(self) -> bool:
        """Whether it did what its code says."""
        if self.success not in BOOLEANS:
            raise BadPayload('success is neither "true" nor "false"')
        return BOOLEANS[self.success]

    @property
    def payment_ref(self) -> str:
        """Older dispute webhooks, and what happens to an authorization, name the payment alone."""
        return self.original_ref or self.psp_ref

    @property
    def amount(self) -> int | None:
        """In minor units."""
        if self.value is None or self.currency is None:
            return None
        return units.from_minor(self.value, self.currency, units.ADYEN)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one item says, before it is given its event's id and time."""

    kind: Kind
    payment_ref: str | None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    has_amount: bool = True
    failure: FailureClass | None = None
    failure_code: str | None = None
    also: "Said | None" = None


class Adyen(Gateway):
    """One merchant account of one company."""

    name: ClassVar[str] = "adyen"
    settings: ClassVar[type[AccountModel]] = AdyenSettings
    about: ClassVar[About] = ABOUT
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", "user-agent"})

    def __init__(self, account: str, settings: AdyenSettings) -> None:
        self.account = account
        self.live = settings.live
        self._keys = HmacKeys("hmac_keys", [bytes.fromhex(key) for key in settings.hmac_keys], encoding="base64")
        self._merchant_account = settings.merchant_account
        self._auto_capture = settings.auto_capture

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Each item must be signed, or none is taken."""
        delivery = strictjson.loads(request.body)
        items = tuple(_items(delivery))
        labels = [self._label_of(item) for item in items]
        if self.live is not None and BOOLEANS.get(text(delivery, "live")) is not self.live:
            raise BadPayload("the delivery is of the other environment, test or live", Step.MODE)
        return Verified(key=labels[0], content=items)

    def key_labels(self) -> tuple[str, ...]:
        """One for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """What each item says that is ours and of a code that READERS knows; nothing of others."""
        items = cast("tuple[Item, ...]", verified.content)
        ours = (item for item in items if item.merchant_account == self._merchant_account and item.code in READERS)
        return tuple(event for item in ours for event in self._told(item))

    def named(self, request: Request) -> Named | None:
        """The first item's payment and order."""
        try:
            item = next(_items(strictjson.loads(request.body)))
        except BadPayload:
            return None
        payment_ref, order_ref = reference_or_none(item.payment_ref), reference_or_none(item.order_ref)
        return Named(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def acknowledge(self) -> Reply:
        """Older webhooks look for the word, newer ones for the status alone."""
        return Reply(status=200, body=b"[accepted]")

    def _label_of(self, item: Item) -> str:
        signature = at(item.whole, ["additionalData", "hmacSignature"])
        if not isinstance(signature, str):
            raise BadSignature("an item has no additionalData.hmacSignature", Step.HEADER)
        *head, _, value, currency, code, success = item.signed
        if any(COLON in field for field in (*head, value, currency, code, success)):
            raise BadSignature("a field holds a colon, so that what is signed could be read in two ways")
        return self._keys.label_of(COLON.join(item.signed).encode(), signature)

    def _told(self, item: Item) -> Iterator[PaymentEvent]:
        event_id = f"{item.psp_ref}:{item.code}:{item.success}"
        said = READERS[item.code](item, self._auto_capture)
        if said is not None:
            yield self._event(event_id, item, said)
            if said.also is not None:
                yield self._event(f"{event_id}:disputed", item, said.also)

    def _event(self, event_id: str, item: Item, said: Said) -> PaymentEvent:
        amount = item.amount if said.has_amount else None
        event = PaymentEvent(
            event_id=event_id,
            kind=said.kind,
            account=self.account,
            occurred_at=moment_from_rfc3339(text(item.whole, "eventDate")),
            order_ref=item.order_ref,
            payment_ref=said.payment_ref,
            capture_ref=said.capture_ref,
            refund_ref=said.refund_ref,
            dispute_ref=said.dispute_ref,
            amount=amount,
            currency=None if amount is None else item.currency,
            failure=said.failure,
            failure_code=said.failure_code,
            method=_method(item),
        )
        if problem := problem_with(event):
            raise BadPayload(problem)
        return event


def _method(item: Item) -> str | None:
    """How the payer pays.  It is not signed and no money hangs on it: odd is unknown."""
    method = at(item.whole, ["paymentMethod"])
    return method if isinstance(method, str) and _METHOD.fullmatch(method) else None


def _items(delivery: object) -> Iterator[Item]:
    """What proves nothing holds nothing: a list without items is refused."""
    listed = at(delivery, ["notificationItems"])
    if not isinstance(listed, list) or not 0 < len(listed) <= ITEMS_MAX:
        raise BadPayload(f"notificationItems is no list of 1 to {ITEMS_MAX} items")
    for each in listed:
        yield _item(at(each, ["NotificationRequestItem"]))


def _item(whole: object) -> Item:
    value = at(whole, ["amount", "value"])
    if value is not None and type(value) is not int:
        raise BadPayload("amount.value is not a whole number")
    return Item(
        psp_ref=text(whole, "pspReference"),
        original_ref=text_or_none(whole, "originalReference"),
        merchant_account=text(whole, "merchantAccountCode"),
        order_ref=text_or_none(whole, "merchantReference"),
        value=value,
        currency=text_or_none(whole, "amount", "currency"),
        code=text(whole, "eventCode"),
        success=text(whole, "success"),
        whole=whole,
    )


def _why(item: Item) -> tuple[FailureClass, str | None]:
    """Not signed, and no money hangs on it: odd ones are passed over."""
    told = at(item.whole, ["reason"])
    reason = _NO_LETTERS.sub("_", told.upper()).strip("_") if isinstance(told, str) else ""
    code = reason if _CODE.fullmatch(reason) else None
    if reason in REASONS:
        return REASONS[reason], code
    raw = at(item.whole, ["additionalData", "refusalReasonRaw"])
    digits = _LEADING_DIGITS.match(raw) if isinstance(raw, str) else None
    if digits and digits[0] in RAW_REASONS:
        return RAW_REASONS[digits[0]], digits[0]
    return FailureClass.UNKNOWN, code


Reader = Callable[[Item, bool], Said | None]  # bool: whether what is authorized is paid


def _authorisation(item: Item, auto_capture: bool) -> Said:
    if item.succeeded:
        kind = Kind.PAYMENT_SUCCEEDED if auto_capture else Kind.PAYMENT_AUTHORIZED
        return Said(kind=kind, payment_ref=item.psp_ref)
    failure, code = _why(item)
    return Said(kind=Kind.PAYMENT_FAILED, payment_ref=item.psp_ref, failure=failure, failure_code=code)


def _pending(item: Item, auto_capture: bool) -> Said:  # noqa: ARG001
    return Said(kind=Kind.PAYMENT_PENDING, payment_ref=item.payment_ref)


def _capture(item: Item, auto_capture: bool) -> Said | None:
    """One of possibly several; with auto_capture it was counted when it was authorized.

    One that was refused leaves the authorisation as it was: it can be tried again.
    """
    if auto_capture or not item.succeeded:
        return None
    return Said(kind=Kind.PAYMENT_SUCCEEDED, payment_ref=item.original_ref, capture_ref=item.psp_ref)


def _capture_failed(item: Item, auto_capture: bool) -> Said:  # noqa: ARG001 - it was counted before, either way
    return _not_there(item)


def _not_there(item: Item) -> Said:
    """Money that was counted and never came.  The name keeps it apart from what else has this reference."""
    ref = f"{item.psp_ref}:{item.code.lower()}"
    return Said(kind=Kind.DISPUTE_LOST, payment_ref=item.payment_ref, dispute_ref=ref)


def _cancellation(item: Item, auto_capture: bool) -> Said | None:
    """One that did not come about leaves the payment as it was."""
    if not item.succeeded:
        return None
    return _given_back(item) if auto_capture else _over(item, FailureClass.USER_CANCELLED)


def _cancel_or_refund(item: Item, auto_capture: bool) -> Said:
    """Both at once where what is signed does not tell which."""
    if not item.succeeded:
        return _failed_refund(item)
    if auto_capture:
        return _given_back(item)
    doubt = msgspec.structs.replace(_not_there(item), kind=Kind.DISPUTE_OPENED)
    return msgspec.structs.replace(_over(item, FailureClass.USER_CANCELLED), also=doubt)


def _given_back(item: Item) -> Said:
    """A refund of nothing would say nothing, and so is told as money that is not there."""
    if not item.value:
        return _not_there(item)
    return Said(kind=Kind.REFUND_SUCCEEDED, payment_ref=item.original_ref, refund_ref=item.psp_ref)


def _expire(item: Item, auto_capture: bool) -> Said:
    return _not_there(item) if auto_capture else _over(item, FailureClass.EXPIRED_UNPAID)


def _offer_closed(item: Item, auto_capture: bool) -> Said:  # noqa: ARG001 - nothing had been authorized
    return _over(item, FailureClass.EXPIRED_UNPAID)


def _over(item: Item, failure: FailureClass) -> Said:
    """The amount is what was let go, not what is asked."""
    return Said(kind=Kind.PAYMENT_CANCELLED, payment_ref=item.payment_ref, has_amount=False, failure=failure)


def _refund(item: Item, auto_capture: bool) -> Said:  # noqa: ARG001
    if item.succeeded:
        return Said(kind=Kind.REFUND_SUCCEEDED, payment_ref=item.original_ref, refund_ref=item.psp_ref)
    return _failed_refund(item)


def _refund_failed(item: Item, auto_capture: bool) -> Said:  # noqa: ARG001 - success "true" says that it failed
    return _failed_refund(item)


def _failed_refund(item: Item) -> Said:
    failure, code = _why(item)
    return Said(
        kind=Kind.REFUND_FAILED,
        payment_ref=item.original_ref,
        refund_ref=item.psp_ref,
        failure=failure,
        failure_code=code,
    )


def _dispute(kind: Kind) -> Reader:
    """Reads what happens to a dispute as that; all of one dispute has one pspReference."""

    def read(item: Item, auto_capture: bool) -> Said:  # noqa: ARG001
        return Said(kind=kind, payment_ref=item.payment_ref, dispute_ref=item.psp_ref)

    return read


# Every code that changes what we know; all others are answered with success and change nothing.
READERS: Final[Mapping[str, Reader]] = {
    "AUTHORISATION": _authorisation,
    "PENDING": _pending,
    "CAPTURE": _capture,
    "CAPTURE_FAILED": _capture_failed,
    "CANCELLATION": _cancellation,
    "TECHNICAL_CANCEL": _cancellation,
    "CANCEL_OR_REFUND": _cancel_or_refund,
    "EXPIRE": _expire,
    "OFFER_CLOSED": _offer_closed,
    "REFUND": _refund,
    "REFUND_WITH_DATA": _refund,
    "REFUND_FAILED": _refund_failed,
    "REFUNDED_REVERSED": _refund_failed,
    "REQUEST_FOR_INFORMATION": _dispute(Kind.DISPUTE_OPENED),
    "NOTIFICATION_OF_CHARGEBACK": _dispute(Kind.DISPUTE_OPENED),
    "CHARGEBACK": _dispute(Kind.DISPUTE_OPENED),  # the money is gone, and can be defended
    "CHARGEBACK_REVERSED": _dispute(Kind.DISPUTE_WON),
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _dispute(Kind.DISPUTE_WON),
    "PREARBITRATION_WON": _dispute(Kind.DISPUTE_WON),
    "SCHEME_ARBITRATION_WON": _dispute(Kind.DISPUTE_WON),
    "SECOND_CHARGEBACK": _dispute(Kind.DISPUTE_LOST),
    "PREARBITRATION_LOST": _dispute(Kind.DISPUTE_LOST),
    "SCHEME_ARBITRATION_LOST": _dispute(Kind.DISPUTE_LOST),
}
