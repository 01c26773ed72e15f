"""Makes texts of outsiders harmless to read: what is invisible is spelt out, and what is long is cut.

Markup is escaped where a page is made; the direction of each text is kept apart by `<bdi>`.  What is spelt out here are
control characters, those that turn the direction of writing, which would let a text pretend to be another, and marks in
stacks, which cover the lines around.
"""

import unicodedata
from typing import Final

TEXT_CHARS: Final = 300
NAME_CHARS: Final = 40
REFERENCE_CHARS: Final = 22  # what a narrow column holds
MARKS: Final = frozenset({"Mn", "Me"})  # they stand on the character before them
MARKS_MAX: Final = 3  # on one character; no script has more, and a stack of them covers the lines around
_HEAD, _TAIL = 10, 8


def visible(text: str) -> str:
    r"""Spells out characters that cannot be seen, or that hide others: a right-to-left override becomes \u202e."""
    if text.isascii() and text.isprintable():
        return text
    shown, marks = list[str](), MARKS_MAX  # one at the beginning would stand on whatever is before the text
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in MARKS else 0
        shown.append(
            char if char.isprintable() and marks <= MARKS_MAX else " " if char.isspace() else ascii(char)[1:-1]
        )
    return "".join(shown)


def cut(text: str, chars: int = TEXT_CHARS) -> str:
    """Shortens a text at its end, visibly."""
    return visible(text) if len(text) <= chars else f"{visible(text[:chars])}…"


def cut_in_the_middle(reference: str) -> str:
    """Shortens a reference: its beginning says of what kind it is, its end is what people compare."""
    shown = visible(reference)
    return shown if len(shown) <= REFERENCE_CHARS else f"{shown[:_HEAD]}…{shown[-_TAIL:]}"
