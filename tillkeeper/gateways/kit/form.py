"""Parses application/x-www-form-urlencoded strictly from bytes, decoded once, in a declared charset."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from tillkeeper.gateways.errors import BadPayload

ESCAPES_MAX: Final = 10_000  # a form is read before its signature can be; the fullest real notice seen has 900
FIELDS_MAX: Final = 200  # the fullest real notice seen has 31
UTF_8: Final = "utf-8"
GB: Final = "gb18030"  # what the older ones encode it encodes in the same bytes, and every character goes both ways
# By their names without `-` and `_`, in small letters.
CHARSETS: Final[Mapping[str, str]] = {"utf8": UTF_8, "gbk": GB, "cp936": GB, "gb2312": GB, "gb18030": GB}

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTENT_TYPE_CHARSET: Final = re.compile(r';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)


class Form(msgspec.Struct, frozen=True):
    """Fields by name, blank ones included, and the charset they came in.

    Encoding a field in that charset gives back the very bytes that were sent, so signed texts can be rebuilt.
    """

    charset: str
    fields: Mapping[str, str]


def decode(body: bytes, content_type: str = "") -> Form:
    """Returns the form in a body; a `charset` field overrules the content type.  Raises BadPayload and nothing else."""
    pairs = _pairs(body)
    raw = dict(pairs)
    charset = _charset(raw.get(b"charset", b""), content_type)
    if len(raw) != len(pairs):
        raise BadPayload("the form repeats a field")
    try:
        return Form(charset, {name.decode(charset): value.decode(charset) for name, value in pairs})
    except UnicodeDecodeError:
        raise BadPayload(f"the form is not {charset}") from None


def _pairs(body: bytes) -> list[tuple[bytes, bytes]]:
    if body.count(b"&") >= FIELDS_MAX:
        raise BadPayload(f"the form has more than {FIELDS_MAX} fields")
    if body.count(b"%") > ESCAPES_MAX:
        raise BadPayload(f"the form has more than {ESCAPES_MAX} escapes")
    if _BAD_ESCAPE.search(body):
        raise BadPayload("the form has a percent sign that escapes nothing")
    if b"\x00" in body or b"%00" in body:
        raise BadPayload("the form holds a character that no database can keep")
    return [_pair(field) for field in body.replace(b"+", b" ").split(b"&")] if body else []


def _pair(field: bytes) -> tuple[bytes, bytes]:
    name, equals, value = field.partition(b"=")
    if not name or not equals:
        raise BadPayload("the form has a field without a name or an equals sign")
    return unquote_to_bytes(name), unquote_to_bytes(value)


def charset_in(content_type: str) -> str | None:
    """Returns the charset that a content type names, if it is one of CHARSETS."""
    found = _CONTENT_TYPE_CHARSET.search(content_type)
    return _known(found[1]) if found else None


def _known(declared: str) -> str | None:
    return CHARSETS.get(declared.lower().replace("-", "").replace("_", ""))


def _charset(field: bytes, content_type: str) -> str:
    declared = field.decode("ascii", "replace")
    if not declared and (found := _CONTENT_TYPE_CHARSET.search(content_type)):
        declared = found[1]
    charset = _known(declared or UTF_8)
    if charset is None:
        raise BadPayload("the form's charset is none of utf-8, gbk, gb2312, gb18030")
    return charset
