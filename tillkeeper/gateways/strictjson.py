"""Strict JSON from bytes: what two readers could read differently, or a database could not keep, is refused."""

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

import msgspec
import orjson

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
    value = _loads_plain(body)
    return _loads_any(body) if value is _NOT_PLAIN else value


def _loads_plain(body: bytes) -> object:
    """The value, if writing it again gives these very bytes: then no key is repeated and no number or text is odd.

    Machines mostly write so, compact or indented by two, and it takes six tenths of the time of looking at each part.
    """
    indent = orjson.OPT_INDENT_2 if body.startswith(b"{\n") else None
    try:
        value: object = _plain_decoder.decode(body)
        is_plain = orjson.dumps(value, option=indent) == body
        if is_plain and b"\\u0000" not in body and _LONG_NUMBER not in body.translate(_DIGITS_AS_ZEROS):
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, orjson.JSONEncodeError, BadPayload):
        pass  # the strict reader says what is wrong, or takes it
    return _NOT_PLAIN


def _loads_any(body: bytes) -> object:
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


_DIGITS_AS_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * (INTEGER_DIGITS_MAX + 1)  # or a text of digits: then each part is looked at
_NOT_PLAIN: Final = object()
_plain_decoder: Final = msgspec.json.Decoder(float_hook=_decimal)  # orjson writes no Decimal: those are looked at
_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
