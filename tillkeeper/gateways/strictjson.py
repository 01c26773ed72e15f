"""Strict JSON from bytes: what two readers could read differently, or a database could not keep, is refused."""

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from tillkeeper.gateways.base import BadPayload

DEPTH_MAX: Final = 64  # real deliveries stay under 12; Python's own parser dies near 1,000
INTEGER_DIGITS_MAX: Final = 18  # what fits a signed 64-bit integer whatever its digits
DECIMAL_CHARS_MAX: Final = 64  # longer fractions are nobody's money
EXPONENT_MAX: Final = 308  # beyond it other readers see infinity or zero

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive, so that no input makes it slow
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SUSPECT_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNKEEPABLE: Final = re.compile("[\x00\ud800-\udfff]")


def loads(body: bytes) -> object:
    """The value in a body; non-integers are Decimal.  Raises BadPayload and nothing else."""
    _check_depth(body)
    try:
        value: object = _decoder.decode(body.decode())
    except UnicodeDecodeError:
        raise BadPayload("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadPayload(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    if _SUSPECT_ESCAPE.search(body):
        _check_texts(value)
    return value


def _check_depth(body: bytes) -> None:
    """Nothing is parsed before this, for the parser recurses."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise BadPayload(f"the body nests deeper than {DEPTH_MAX}")


def _check_texts(value: object) -> None:
    """Escapes can spell NUL and halves of a surrogate pair, in keys as well; depth is bounded already."""
    if isinstance(value, str):
        if _UNKEEPABLE.search(value):
            raise BadPayload("the body holds a character that no database can keep")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadPayload("an object repeats a key")
    return found


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > INTEGER_DIGITS_MAX:
        raise BadPayload(f"an integer has more than {INTEGER_DIGITS_MAX} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    exponent = text.lower().partition("e")[2]
    if len(text) > DECIMAL_CHARS_MAX or abs(int(exponent or 0)) > EXPONENT_MAX:
        raise BadPayload("a number is longer or greater than any amount")
    return Decimal(text)


def _constant(name: str) -> NoReturn:
    raise BadPayload(f"{name} is not JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
