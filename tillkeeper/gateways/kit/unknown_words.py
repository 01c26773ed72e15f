"""Collects unknown words of genuine deliveries and answers, which are counted and shown, but never refused.

A gateway's code calls `unknown_word` and goes on with what is known; the caller of the parser collects the words.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, TypeVar

import msgspec

from tillkeeper.domain.masking import masked

Known = TypeVar("Known")

WORD_CHARS_MAX: Final = 64  # the longest word in any list of ours has 48
WORDS_MAX: Final = 20  # in a delivery or answer


class UnknownWord(msgspec.Struct, frozen=True, order=True):
    """A word outside a closed list, and the field that held it."""

    field: str
    word: str


_collected: ContextVar[dict[UnknownWord, None] | None] = ContextVar("unknown_words", default=None)


def unknown_word(field: str, word: object) -> None:
    """Notes that `field` holds a word that is in no list of ours."""
    collected = _collected.get()
    if collected is not None and len(collected) < WORDS_MAX:
        shown = masked(str(word))[:WORD_CHARS_MAX]  # a field of words may hold free text one day
        kept = "".join(char if char.isascii() and char.isprintable() else "?" for char in shown)
        collected[UnknownWord(field[:WORD_CHARS_MAX], kept)] = None


def known_or_none(table: Mapping[str, Known], word: str, field: str) -> Known | None:
    """Returns what a table has for a word; None, and a note, where it is in no list of ours."""
    if word not in table:
        unknown_word(field, word)
        return None
    return table[word]


class unknown_words:  # noqa: N801 - used like a function; a generator costs each delivery more
    """Collects the unknown words that occur inside, in the order of their appearance."""

    __slots__ = ("_token",)

    def __enter__(self) -> dict[UnknownWord, None]:
        """Begins."""
        collected: dict[UnknownWord, None] = {}
        self._token = _collected.set(collected)
        return collected

    def __exit__(self, *_: object) -> None:
        """Ends, and collects again what was collected around it."""
        _collected.reset(self._token)
