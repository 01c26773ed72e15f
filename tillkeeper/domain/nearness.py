"""References that somebody may have meant to be the same: written in another case, with a prefix, or with a slip."""

import re
from difflib import SequenceMatcher
from typing import Final

_SIGNS: Final = re.compile(r"[\W_]+")
PART_CHARS_MIN: Final = 4  # a shorter one stands in many others by chance
ALIKE: Final = 0.85  # one slip in seven characters


def is_near(one: str, other: str) -> bool:
    """Whether the two differ only in case, spaces and signs, or in what stands before or behind."""
    short, long = sorted((_plain(one), _plain(other)), key=len)
    if short == long or len(short) < PART_CHARS_MIN:
        return bool(short) and short == long
    before, after = long.removesuffix(short), long.removeprefix(short)
    return (before != long and not _one_number(before, short)) or (after != long and not _one_number(short, after))


def _one_number(left: str, right: str) -> bool:
    """Whether a number goes on from one to the other: 100 is no part of 1001."""
    return left[-1:].isdigit() and right[:1].isdigit()


def is_alike(one: str, other: str) -> bool:
    """Whether one may be the other with a slip in it: enough only where the sums are the same as well."""
    return SequenceMatcher(None, _plain(one), _plain(other)).ratio() >= ALIKE


def _plain(reference: str) -> str:
    return _SIGNS.sub("", reference.casefold())
