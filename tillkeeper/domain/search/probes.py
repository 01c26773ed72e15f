"""Defines what can be looked for: a reference, a contact, an amount on a day, a number of ours.

A probe is typed, so that the store answers each kind by an index of its own (store/search/).
"""

from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.money import EXPONENTS

END_CHARS_MIN: Final = 4  # fewer last characters are everybody's
CODE_POINT_MAX: Final = 0x10FFFF
SURROGATES: Final = range(0xD800, 0xE000)


class ReferenceProbe(msgspec.Struct, frozen=True, tag="reference"):
    """A whole reference, or its last characters, as it was written."""

    written: str

    @property
    def text(self) -> str:
        """Returns it with A to Z in lower case, as PostgreSQL's lower() makes it in the collation C."""
        return "".join(char.lower() if char.isascii() else char for char in self.written)

    @property
    def backwards(self) -> tuple[str, str]:
        """Returns the span of reversed references that end so: from the first, to before the second, by their bytes."""
        return backwards_span(self.text)


class EmailProbe(msgspec.Struct, frozen=True, tag="email"):
    """A mail address in lower case."""

    text: str


class PhoneProbe(msgspec.Struct, frozen=True, tag="phone"):
    """The last digits of a phone number, without its country code as far as that can be told."""

    digits: str

    @property
    def backwards(self) -> tuple[str, str]:
        """Returns the span of reversed numbers that end so."""
        return backwards_span(self.digits)


class MoneyProbe(msgspec.Struct, frozen=True, tag="money"):
    """An amount between two moments, the later one excluded.  Without currencies it may be of any."""

    text: str  # as it was read, in major units
    currencies: tuple[str, ...]
    minor_by_exponent: tuple[tuple[int, int], ...]  # what it is, by the digits of the currency's minor unit
    since: datetime
    until: datetime

    @property
    def minors(self) -> list[int]:
        """Returns the minor units that it may be."""
        return sorted({minor for _, minor in self.minor_by_exponent})

    def is_meant_by(self, minor: int, currency: str) -> bool:
        """Returns True if an amount is the one that was meant."""
        if self.currencies and currency not in self.currencies:
            return False
        return (EXPONENTS.get(currency), minor) in self.minor_by_exponent


class NumberProbe(msgspec.Struct, frozen=True, tag="number"):
    """A number that Tillkeeper itself gave: of a case, or of what is parked or refused."""

    number: int


Probe = ReferenceProbe | EmailProbe | PhoneProbe | MoneyProbe | NumberProbe


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a text asks for: its probes, the most telling first, and whether more of it was left out."""

    probes: tuple[Probe, ...] = ()
    codes: tuple[str, ...] = ()  # words that may be a gateway's code for a failure
    spelt: str = ""  # the text as a whole, which may be a reference that is written otherwise
    cut: bool = False


def backwards_span(end: str) -> tuple[str, str]:
    """Returns the span, in the order of bytes, of all reversed texts that begin with the reverse of `end`.

    UTF-8 sorts as code points do, so that the first text beyond has the last code point raised by one.
    """
    low = end[::-1]
    following = ord(low[-1]) + 1
    if following in SURROGATES:
        following = SURROGATES.stop
    assert following <= CODE_POINT_MAX, "the last code point is no character, and was taken out before"
    return low, low[:-1] + chr(following)
