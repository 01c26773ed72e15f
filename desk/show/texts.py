"""Makes texts of outsiders harmless to read: what is invisible is spelt out, and what is long is cut.

Markup is escaped where a page is made; the direction of each text is kept apart by `<bdi>`.  What is spelt out here are
control characters and those that turn the direction of writing, which would let a text pretend to be another.
"""

from typing import Final

TEXT_CHARS: Final = 300
NAME_CHARS: Final = 40
REFERENCE_CHARS: Final = 22  # what a narrow column holds
_HEAD, _TAIL = 10, 8


def visible(text: str) -> str:
    r"""Spells out characters that cannot be seen: a right-to-left override becomes \u202e."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else ascii(char)[1:-1] for char in text)


def cut(text: str, chars: int = TEXT_CHARS) -> str:
    """Shortens a text at its end, visibly."""
    return visible(text) if len(text) <= chars else f"{visible(text[:chars])}…"


def cut_in_the_middle(reference: str) -> str:
    """Shortens a reference: its beginning says of what kind it is, its end is what people compare."""
    if len(reference) <= REFERENCE_CHARS:
        return visible(reference)
    return f"{visible(reference[:_HEAD])}…{visible(reference[-_TAIL:])}"
