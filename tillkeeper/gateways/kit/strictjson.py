"""Parses JSON strictly: refuses what two parsers could read differently, and what a database could not hold."""

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn, cast

import msgspec
import orjson

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import Verified

DEPTH_MAX: Final = 64  # real deliveries stay under 12; Python's own parser dies near 1,000
INTEGER_DIGITS_MAX: Final = 18  # what fits a signed 64-bit integer whatever its digits
DECIMAL_CHARS_MAX: Final = 64  # longer fractions are no amounts of money
EXPONENT_MAX: Final = 308  # beyond it other parsers read infinity or zero
UNSIGNED_MARKS_MAX: Final = 5_000  # commas and opening brackets; an Adyen item, of which one comes as a rule, has 60

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive, so that no input makes it slow
_SPACE: Final = re.compile(r"[ \t\n\r]*+")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SUSPECT_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNKEEPABLE: Final = re.compile("[\x00\ud800-\udfff]")


def loads(body: bytes) -> object:
    """Returns the value in a body; non-integers are Decimal.  Raises BadPayload and nothing else."""
    value = _loads_plain(body)
    return _loads_any(body) if value is _NOT_PLAIN else value


def object_in(body: bytes, name: str = "the response") -> dict[str, object]:
    """Returns the object in a body, which an error calls by `name`.  Raises BadPayload."""
    value = loads(body)
    if not isinstance(value, dict):
        raise BadPayload(f"{name} is no object")
    return value


def json_of(verified: Verified) -> object:
    """Returns the value in the bytes that were verified: read once, however often it is asked for.  Raises
    BadPayload."""
    kept = verified.__dict__
    if "json" not in kept:
        kept["json"] = loads(cast("bytes", verified.content))
    return kept["json"]


def loads_unsigned(body: bytes, *, marks_max: int = UNSIGNED_MARKS_MAX) -> object:
    """Parses an unverified body as `loads` does, but first refuses one that would take long to parse."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > marks_max:
        raise BadPayload(f"the body has more than {marks_max} commas and brackets, before its signature is known")
    return loads(body)


def members(body: bytes) -> dict[str, bytes]:
    """Returns the members of the object in a body, each value as it is written there.  Raises BadPayload."""
    if not isinstance(loads(body), dict):
        raise BadPayload("the body is no object")
    text, found = body.decode(), {}
    at = _past(text, _past(text, 0) + 1)
    while text[at] != "}":
        name, at = _decoder.raw_decode(text, at)
        begin = _past(text, _past(text, at) + 1)
        _, end = _decoder.raw_decode(text, begin)
        found[name] = text[begin:end].encode()
        at = _past(text, end)
        if text[at] == ",":
            at = _past(text, at + 1)
    return found


def _past(text: str, at: int) -> int:
    """Returns the position after the white space that begins here, if any."""
    space = _SPACE.match(text, at)
    assert space is not None
    return space.end()


def _loads_plain(body: bytes) -> object:
    """Returns the value, if writing it again gives these very bytes: then no key is repeated and no number or text is
    odd.

    Machines mostly write so, compact or indented by two, and it takes a third of the time of looking at each part.
    """
    is_indented = body.startswith(b"{\n")
    option = _EXACT_INDENTED if is_indented else _EXACT
    try:
        value: object = _decode_plain(body)
        if orjson.dumps(value, option=option) == body and not (_may_be_deep(body, is_indented) or _may_hold_nul(body)):
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, orjson.JSONEncodeError, BadPayload):
        pass  # the strict parser says what is wrong, or accepts it
    return _NOT_PLAIN


def _may_be_deep(plain: bytes, is_indented: bool) -> bool:
    """Returns False only if it nests no deeper than DEPTH_MAX; what is indented shows it without a look at each
    byte."""
    return _DEEP_INDENT in plain if is_indented else plain.count(b"[") + plain.count(b"{") > DEPTH_MAX


def _may_hold_nul(plain: bytes) -> bool:
    return b"\\" in plain and b"\\u0000" in plain  # most hold no backslash, and one byte is found fastest


def _loads_any(body: bytes) -> object:
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
    """Refuses deep nesting before the strict parser, which recurses; the other's recursion ends in an error."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise BadPayload(f"the body nests deeper than {DEPTH_MAX}")


def _check_texts(value: object) -> None:
    """Refuses NUL and lone surrogates, which escapes can spell, in keys as well; the depth is bounded already."""
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


_EXACT: Final = orjson.OPT_STRICT_INTEGER  # refuses to write integers beyond 53 bits: those are looked at
_EXACT_INDENTED: Final = _EXACT | orjson.OPT_INDENT_2
_DEEP_INDENT: Final = b" " * (2 * DEPTH_MAX)  # stands before whatever nests deeper, or in a text
_NOT_PLAIN: Final = object()
_decode_plain: Final = msgspec.json.Decoder(float_hook=_decimal).decode  # orjson writes no Decimal: those are looked at
_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
