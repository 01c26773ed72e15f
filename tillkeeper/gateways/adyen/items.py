"""Reads the items of Adyen's deliveries: what is signed of each, why it failed, and how the payer pays.

Source: Adyen/adyen-openapi, `json/Webhooks-v1.json`; docs.adyen.com, "Refusal reasons".
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none

ITEMS_MAX: Final = 100  # deliveries in JSON hold one as a rule
BOOLEANS: Final = {"true": True, "false": False}  # as text, everywhere
_METHOD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
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


class AdyenItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a delivery: what is signed of it, and the raw object, of which nothing else is."""

    psp_ref: str
    original_ref: str | None
    merchant_account: str
    order_ref: str | None
    value: int | None
    currency: str | None
    code: str
    success: str
    raw: object

    @property
    def signed(self) -> tuple[str, ...]:
        """Returns the eight fields, in their order."""
        value = "" if self.value is None else str(self.value)
        head = (self.psp_ref, self.original_ref or "", self.merchant_account, self.order_ref or "")
        return (*head, value, self.currency or "", self.code, self.success)

    @property
    def succeeded(self) -> bool:
        """Returns True if it did what its code says."""
        return BOOLEANS[self.success]

    @property
    def payment_ref(self) -> str:
        """Older dispute webhooks, and what happens to an authorization, name the payment alone."""
        return self.original_ref or self.psp_ref

    @property
    def reported_at(self) -> datetime:
        """Returns when it happened, by Adyen's clock."""
        return moment_from_rfc3339(text(self.raw, "eventDate"))

    @property
    def amount(self) -> int | None:
        """Returns it in minor units."""
        if self.value is None or self.currency is None:
            return None
        return units.from_minor(self.value, self.currency, units.ADYEN)


def items_of(delivery: object) -> Iterator[AdyenItem]:
    """Yields the items of a delivery.  A list without items is refused: nothing would be signed."""
    items = at(delivery, ["notificationItems"])
    if not isinstance(items, list) or not 0 < len(items) <= ITEMS_MAX:
        raise BadPayload(f"notificationItems is no list of 1 to {ITEMS_MAX} items")
    for item in items:
        yield _item(at(item, ["NotificationRequestItem"]))


def _item(raw: object) -> AdyenItem:
    value = at(raw, ["amount", "value"])
    if value is not None and type(value) is not int:
        raise BadPayload("amount.value is not a whole number")
    return AdyenItem(
        psp_ref=text(raw, "pspReference"),
        original_ref=text_or_none(raw, "originalReference"),
        merchant_account=text(raw, "merchantAccountCode"),
        order_ref=text_or_none(raw, "merchantReference"),
        value=value,
        currency=text_or_none(raw, "amount", "currency"),
        code=text(raw, "eventCode"),
        success=text(raw, "success"),
        raw=raw,
    )


def method_of(item: AdyenItem) -> str | None:
    """Returns how the payer pays.  It is not signed and no money hangs on it: odd is unknown."""
    method = at(item.raw, ["paymentMethod"])
    return method if isinstance(method, str) and _METHOD.fullmatch(method) else None


def failure_of(item: AdyenItem) -> tuple[FailureClass, str | None]:
    """Returns why it failed.  It is not signed and no money hangs on it: odd reasons are passed over."""
    written = at(item.raw, ["reason"])
    reason = _NO_LETTERS.sub("_", written.upper()).strip("_") if isinstance(written, str) else ""
    code = reason if _CODE.fullmatch(reason) else None
    if reason in REASONS:
        return REASONS[reason], code
    scheme_code = _scheme_code_of(item)
    return (FailureClass.UNKNOWN, code) if scheme_code is None else (RAW_REASONS[scheme_code], scheme_code)


def _scheme_code_of(item: AdyenItem) -> str | None:
    """Returns the card scheme's response code, where the table has it."""
    written = at(item.raw, ["additionalData", "refusalReasonRaw"])
    digits = _LEADING_DIGITS.match(written) if isinstance(written, str) else None
    return digits[0] if digits and digits[0] in RAW_REASONS else None
