"""Finds texts that others packed into Base64, as some gateways do with a whole delivery."""

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Final

RUN_CHARS_MIN: Final = 16  # shorter ones hold no address, and half of all words are one
_RUN: Final = re.compile(rf"[A-Za-z0-9+/_-]{{{RUN_CHARS_MIN},}}(?:[\r\n]+[A-Za-z0-9+/_-]+)*", re.ASCII)
_URL_SAFE: Final = str.maketrans("-_", "+/", "\r\n")


def decoded_base64(text: str) -> Iterator[str]:
    """Yields each run of Base64 in a text, decoded; what is no text comes with marks in place of its bytes."""
    for found in _RUN.finditer(text):
        run = found[0].translate(_URL_SAFE)
        whole = run[: len(run) - len(run) % 4] if len(run) % 4 == 1 else run + "=" * (-len(run) % 4)
        yield b64decode(whole).decode("utf-8", "replace")
