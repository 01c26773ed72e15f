"""Decides what of texts and rows goes when a payer's personal data is erased.

structured contacts and raw deliveries   ──> removed whole
free text (notes of people, errors)      ──> the payer's contacts are replaced, and whatever looks like one
references, amounts, statuses, times     ──> stay: the books need them, and dedupe knows deliveries by them
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from tillkeeper.domain.decoding import decoded_base64
from tillkeeper.domain.masking import without_any_contacts
from tillkeeper.domain.order.registration import Payer

ERASED: Final = "<erased>"
# With fewer digits a number is no phone number of anybody, and would be found everywhere.
PHONE_DIGITS_MIN: Final = 7
PHONE_DIGITS_COMPARED: Final = 10  # the last ones: a country code may be written or not
# A shorter reference stands in many texts that are not about its order; such orders are found by events alone.
REF_CHARS_MIN: Final = 6
_SEPARATORS: Final = r"[ ()./-]{0,2}"
_NEVER: Final = re.compile(r"(?!)")
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


class ErasureAct(msgspec.Struct, frozen=True, kw_only=True):
    """Who erased the payer's data of an order, why, and when.  It is kept, so that it holds nothing of the data."""

    by: str
    note: str
    at: datetime


class Contacts(msgspec.Struct, frozen=True, dict=True):
    """The mail addresses and phone numbers of a payer, by which texts about them are found."""

    emails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()

    @classmethod
    def of(cls, payer: Payer | None) -> "Contacts":
        """Returns those that an order was registered with."""
        payer = payer or Payer()
        return cls(
            emails=frozenset({payer.email} if payer.email else ()),
            phones=frozenset({payer.phone} if payer.phone else ()),
        )

    def __or__(self, other: "Contacts") -> "Contacts":
        """Returns those of both."""
        return Contacts(emails=self.emails | other.emails, phones=self.phones | other.phones)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches each of them however it is written: in any case, with or without country code and separators."""
        parts = [rf"(?<![\w.+-]){re.escape(email)}(?![\w-]|\.\w)" for email in sorted(self.emails)]
        parts += [_phone_pattern(digits) for digits in sorted(map(digits_of, self.phones)) if digits]
        return re.compile("|".join(parts), re.IGNORECASE) if parts else _NEVER

    def are_named_in(self, text: str) -> bool:
        """Returns True if the text holds one of them."""
        return self.pattern.search(text) is not None

    def removed_from(self, text: str) -> str:
        """Returns the text of a person without these contacts, and without any other mail address or number."""
        return without_any_contacts(self.pattern.sub(ERASED, text))

    def removed_from_value(self, value: object) -> object:
        """Returns a JSON value without these contacts in its texts.  References in it stay as they are."""
        match value:
            case str():
                return self.pattern.sub(ERASED, value)
            case list():
                return [self.removed_from_value(each) for each in value]
            case dict():
                return {name: self.removed_from_value(each) for name, each in value.items()}
            case _:
                return value


def digits_of(phone: str) -> str:
    """Returns the digits by which a phone number is compared; none of one that is too short to be somebody's."""
    digits = "".join(char for char in phone if char in "0123456789")
    return digits[-PHONE_DIGITS_COMPARED:] if len(digits) >= PHONE_DIGITS_MIN else ""


def _phone_pattern(digits: str) -> str:
    return rf"(?<!\d)\+?(?:\d{_SEPARATORS}){{0,5}}{_SEPARATORS.join(digits)}(?!\d)"


class Subject(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What names an order and its payer, where nothing says to which order a text belongs."""

    references: frozenset[str]  # the order's own, and those of its payments, refunds and disputes
    contacts: Contacts

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches a reference of it that stands alone."""
        parts = [re.escape(ref) for ref in sorted(self.references) if len(ref) >= REF_CHARS_MIN]
        return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(parts)})(?![A-Za-z0-9])") if parts else _NEVER

    def is_named_by(self, references: Iterable[str | None], texts: Iterable[str]) -> bool:
        """Returns True if one of these references is its own, or one of these texts names it or its payer."""
        if not self.references.isdisjoint(references):
            return True
        return any(self.pattern.search(text) or self.contacts.are_named_in(text) for text in texts)


def readings_of(content: bytes) -> Iterator[str]:
    """Yields the texts that bytes may be read as: as they are, as a form, with escapes of JSON undone, from Base64."""
    text = content.decode("utf-8", "replace")
    yield text
    if "%" in text or "+" in text:
        yield unquote_plus(text)
    if "\\u" in text:
        yield _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    yield from decoded_base64(unquote_plus(text) if "%" in text else text)
