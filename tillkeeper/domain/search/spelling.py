"""Recognises a reference that somebody wrote otherwise: other signs, blanks between, letters that look like digits.

Such a text is looked for by its digits, and among what ends so, only what is the same reference once both are written
plainly: where it says no more than one reference, also beside what ends so by chance; else once nothing else is found.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tillkeeper.domain.search.probes import ReferenceProbe
from tillkeeper.domain.similar_references import plain

TEXT_CHARS_MAX: Final = 80
SPELLINGS_MAX: Final = 4  # of what somebody pasted; each is a look-up
_LIKE_DIGITS: Final = str.maketrans("oil", "011")
_ENDS_IN_DIGITS: Final = re.compile(r"[a-z0-9]{0,40}?([0-9]{4,40})", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]{4,40}$", re.ASCII)


class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    """A reference in letters and digits alone, and the digits that it may end with."""

    plain: str
    ends: tuple[str, ...]

    @property
    def has_letters(self) -> bool:
        """Returns True if it is more than the last digits of any reference."""
        return not self.plain.isdigit()

    @property
    def probes(self) -> list[ReferenceProbe]:
        """Returns what references of this spelling end with."""
        return list(map(ReferenceProbe, self.ends))

    def is_of(self, reference: str | None) -> bool:
        """Returns True if a reference is this one, written otherwise."""
        return reference is not None and _plain(reference) == self.plain


def spelling_of(text: str) -> Spelling | None:
    """Returns the reference that a text may be as a whole: letters, and digits at its end; None for anything else."""
    written = _plain(text[: TEXT_CHARS_MAX + 1])
    found = _ENDS_IN_DIGITS.fullmatch(written)
    if found is None or len(text) > TEXT_CHARS_MAX:
        return None
    digits = _DIGITS.search(plain(text))  # those that were written as digits
    return Spelling(plain=written, ends=tuple(dict.fromkeys([found[1], *([digits[0]] if digits else [])])))


def spellings_of(text: str, references: Iterable[str]) -> tuple[Spelling, ...]:
    """Returns the reference that a text may be as a whole, or else those that the references in it may be."""
    whole = spelling_of(text)
    if whole is not None:
        return (whole,)
    parts = (spelling for reference in references if (spelling := spelling_of(reference)) is not None)
    return tuple(dict.fromkeys(parts))[:SPELLINGS_MAX]


def _plain(text: str) -> str:
    return plain(text).translate(_LIKE_DIGITS)
