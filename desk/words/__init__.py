"""The words of all pages, Chinese and English side by side: one file a subject, found as `subject.key`.

    [calm]
    zh = "账目无误。"
    en = "The till is true."

`en_one` stands where `count` is 1.  What stands in braces is filled in, and escaped: it may have come from outside.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from tillkeeper.desk.person import Locale


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands under one key."""

    zh: str
    en: str
    en_one: str | None = None

    def text(self, locale: Locale, count: object = None) -> str:
        """Returns it in a language."""
        if locale == "zh":
            return self.zh
        return self.en_one if self.en_one is not None and count == 1 else self.en


ENDING: Final = ".toml"


@cache
def catalogue() -> Mapping[str, Word]:
    """Returns all words by their keys."""
    found: dict[str, Word] = {}
    for path in files("tillkeeper.desk.words").iterdir():
        if path.name.endswith(ENDING):
            subject = path.name.removesuffix(ENDING)
            read = tomllib.loads(path.read_text(encoding="utf-8"))
            found.update({f"{subject}.{key}": msgspec.convert(word, Word) for key, word in read.items()})
    return found


def say(key: str, locale: Locale, **filled_in: Any) -> Markup:
    """Returns the words under a key, safe to stand in a page."""
    text = catalogue()[key].text(locale, filled_in.get("count"))
    return escape(text).format(**filled_in) if filled_in else escape(text)


def say_plainly(key: str, locale: Locale, **filled_in: Any) -> str:
    """Returns the words under a key as plain text, for titles and what is copied."""
    text = catalogue()[key].text(locale, filled_in.get("count"))
    return text.format(**filled_in) if filled_in else text
