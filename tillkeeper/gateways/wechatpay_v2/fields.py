"""Signs, writes and reads WeChat Pay v2's fields, in notices and in answers.

Source: the package `wechatpy` (`pay/utils.py`) for the signature.
"""

import hashlib
import hmac
import html
import re
from collections.abc import Mapping
from typing import Final, Literal

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import text, text_or_none

SignType = Literal["MD5", "HMAC-SHA256"]
Fields = Mapping[str, str]

OK: Final = "SUCCESS"
FAIL: Final = "FAIL"
TOPS: Final = frozenset({"xml", "root"})  # notices and answers; what is encrypted in a refund's notice

_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)
_FEN: Final = re.compile(r"\d{1,18}", re.ASCII)


def signature(fields: Fields, api_key: str, sign_type: SignType) -> str:
    """Signs every field with a value but `sign` itself, whatever fields there are."""
    pairs = [f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value]
    signed = "&".join([*pairs, f"key={api_key}"])
    if sign_type == "MD5":
        return hashlib.md5(signed.encode(), usedforsecurity=False).hexdigest().upper()  # the scheme's, not our choice
    return hmac.digest(api_key.encode(), signed.encode(), "sha256").hex().upper()


def xml_of(fields: Fields) -> bytes:
    """Returns the fields as XML."""
    return b"<xml>%b</xml>" % b"".join(
        f"<{name}>{html.escape(value, quote=False)}</{name}>".encode() for name, value in fields.items()
    )


def code_of(fields: Fields) -> str | None:
    """Returns the error code, if it looks like one; texts beside it may repeat what was asked."""
    code = text_or_none(fields, "err_code")
    return code if code and _CODE.fullmatch(code) else None


def currency_in(fields: Fields) -> str | None:
    """Returns yuan where none is named; None for one that ISO 4217 does not list."""
    return units.known_currency("fee_type", text_or_none(fields, "fee_type") or "CNY")


def money(fields: Fields, name: str, currency: str | None) -> int | None:
    """Returns an amount in minor units; None where there is no currency, for then there is no amount."""
    if currency is None:
        return None
    amount = text(fields, name)
    if not _FEN.fullmatch(amount):
        raise BadPayload(f"{name} is not a whole number")
    return units.from_minor(int(amount), currency)
