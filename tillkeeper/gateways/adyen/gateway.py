"""Adyen: each item of a delivery is signed by itself, over eight of its fields; what became of it hangs on those alone.

    pspReference:originalReference:merchantAccountCode:merchantReference:value:currency:eventCode:success

Nothing in that text is escaped.  Only merchantReference may hold a colon, or one signature would fit two readings.
What is not signed (reason, eventDate, paymentMethod, the rest of additionalData) says why, when and how: it moves no
money.

A payment goes by the pspReference of its AUTHORISATION, which all that happens to it later has as originalReference;
its own pspReference is that of the capture, refund or dispute.  Items are in `adyen_items`, what their codes say in
`adyen_codes`, and which methods are captured at once in `adyen_methods`.

Sources: the package `Adyen` (`util.py`) for the signature; Adyen/adyen-openapi, `json/Webhooks-v1.json`;
docs.adyen.com, "Currency codes and minor units".
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast

from pydantic import Field, field_validator

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, Secrets
from tillkeeper.gateways.adyen.codes import OF_NO_ORDER, READERS, Said
from tillkeeper.gateways.adyen.items import BOOLEANS, Item, items_of, method_of
from tillkeeper.gateways.adyen.methods import CAPTURED_BY_HAND, WITHOUT_CAPTURE, CaptureMode
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import ClaimedReferences, Reply, Request, Verified

COLON: Final = ":"
KEY_HEX_DIGITS: Final = 64  # 32 bytes, as the Customer Area makes them
METHODS_MAX: Final = 200  # of one setting; Adyen has some 250 in all
_HEX: Final = re.compile(r"([0-9A-Fa-f]{2})+", re.ASCII)

MethodNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}\*?$")], ...], Field(max_length=METHODS_MAX)
]


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
        "pays its part.  Some payment methods keep to neither; the next two settings name them.",
    )
    methods_without_capture: MethodNames = Field(
        default=WITHOUT_CAPTURE,
        description="Methods that are paid once authorized although auto_capture is false, for they have no separate "
        "capture; * stands for whatever follows.  Adyen does not sign which method it was: with [] none counts before "
        "its CAPTURE.",
    )
    methods_captured_by_hand: MethodNames = Field(
        default=CAPTURED_BY_HAND,
        description="Methods that are paid by their CAPTURE alone although auto_capture is true, as pay-later methods "
        "are unless Adyen's support changed that for you.",
    )
    multiple_captures: bool = Field(
        default=True,
        description="Whether an authorization stays open after a capture of a part, as it does where Adyen's support "
        "switched on multiple partial captures.  If false, a capture lets go of the rest, so that payers may be asked "
        "to pay it.",
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
    uncovered="`reason`, `eventDate`, `live` and the rest of `additionalData` are not signed: they tell why and when "
    "(which of two words on one refund or dispute is the later), and neither references nor amounts hang on them. "
    "Nor is `paymentMethod`: where `auto_capture` is false it decides whether an authorized payment has a capture to "
    "come (`methods_without_capture`), so that whoever could change it on the way could have goods leave for money "
    "that is authorized and not yet captured. TLS protects them, and an item repeated with others changes nothing and "
    "opens a case",
    dedupes_by="`pspReference`, `eventCode` and `success`",
    acknowledges="200 with the body `[accepted]`",
    refunds_seen="nothing: there is no question; register refunds, or make them in your own systems",
    checked="the package `Adyen` signs and verifies",
    sources=(
        "the package `Adyen`, `util.py`",
        "Adyen/adyen-openapi, `json/Webhooks-v1.json`",
        'docs.adyen.com, "Dispute webhooks", "Refusal reasons", "Failure reasons", "Currency codes and minor units"',
        "adyen-magento2 and Adyen's connector for commercetools: which methods have no separate capture",
        "not confirmed: that CAPTURE_FAILED, REFUND_FAILED and REFUNDED_REVERSED carry the pspReference of what failed",
    ),
)


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
        self._lets_go = not settings.multiple_captures
        self._capture_mode = CaptureMode(
            auto_capture=settings.auto_capture,
            without_capture=settings.methods_without_capture,
            by_hand=settings.methods_captured_by_hand,
        )

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Each item must be signed, or none is taken."""
        delivery = strictjson.loads_unsigned(request.body)
        items = tuple(items_of(delivery))
        labels = [self._label_of(item) for item in items]
        if self.live is not None and BOOLEANS.get(text(delivery, "live")) is not self.live:
            raise BadPayload("the delivery is of the other environment, test or live", VerificationStep.MODE)
        return Verified(key=labels[0], content=items)

    def key_labels(self) -> tuple[str, ...]:
        """One for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """What each item says that is ours and of a code that READERS knows; nothing of others."""
        items = cast("tuple[Item, ...]", verified.content)
        ours = (item for item in items if item.merchant_account == self._merchant_account)
        return tuple(event for item in ours for event in self._told(item))

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The first item's payment and order."""
        try:
            item = next(items_of(strictjson.loads_unsigned(request.body)))
        except BadPayload:
            return None
        payment_ref, order_ref = reference_or_none(item.payment_ref), reference_or_none(item.order_ref)
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def acknowledge(self) -> Reply:
        """Older webhooks look for the word, newer ones for the status alone."""
        return Reply(status=200, body=b"[accepted]")

    def _label_of(self, item: Item) -> str:
        signature = at(item.whole, ["additionalData", "hmacSignature"])
        if not isinstance(signature, str):
            raise BadSignature("an item has no additionalData.hmacSignature", VerificationStep.HEADER)
        *head, _, value, currency, code, success = item.signed
        if any(COLON in field for field in (*head, value, currency, code, success)):
            raise BadSignature("a field holds a colon, so that what is signed could be read in two ways")
        return self._keys.label_of(COLON.join(item.signed).encode(), signature)

    def _told(self, item: Item) -> Iterator[PaymentEvent]:
        event_id = f"{item.psp_ref}:{item.code}:{item.success}"
        read = READERS.get(item.code)
        if read is None:
            if item.code not in OF_NO_ORDER:
                unknown_word("eventCode", item.code)
            return
        if item.success not in BOOLEANS:
            unknown_word("success", item.success)
            return
        if item.currency is not None and not units.is_currency(item.currency, "amount.currency"):
            return
        said = read(item, self._capture_mode.is_at_once(item))
        if said is None:
            return
        yield self._event(event_id, item, said)
        if said.also is not None:
            ending, rest = said.also
            yield self._event(f"{event_id}:{ending}", item, rest)
        elif said.capture_ref is not None and said.kind is Kind.PAYMENT_SUCCEEDED and self._lets_go:
            rest = Said(kind=Kind.PAYMENT_CANCELLED, payment_ref=said.payment_ref, has_amount=False)
            yield self._event(f"{event_id}:released", item, rest)

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
            method=method_of(item),
        )
        if problem := problem_with(event):
            raise BadPayload(problem)
        return event
