"""Checks Mercado Pago's signature of a notice, over the id in the query, the request's id and the time; nothing of the
body.

Source: the package `mercadopago`, `webhook/validator.py`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from tillkeeper.gateways.errors import BadPayload, BadSignature, Stale, VerificationStep
from tillkeeper.gateways.kit.fields import moment_from_unix
from tillkeeper.gateways.messages import Request

SIGNATURE_HEADER: Final = "x-signature"
REQUEST_ID_HEADER: Final = "x-request-id"
SIGNATURE_HEADER_CHARS_MAX: Final = 1024  # one signature and its time have 85
QUERY_FIELDS_MAX: Final = 20  # two are sent
MILLISECONDS_DIGITS: Final = 13  # seconds have ten until the year 2286

_TIME: Final = re.compile(r"\d{1,16}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[!-:<-~]{1,200}", re.ASCII)  # no semicolon, which parts what is signed


def signature_parts(header: str) -> tuple[str, list[str]]:
    """Returns the time and the v1 signatures of `ts=1,v1=a`; other schemes are ignored."""
    if not header.isascii() or len(header) > SIGNATURE_HEADER_CHARS_MAX:
        raise BadSignature("the signature header is not ASCII or too long", VerificationStep.HEADER)
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "ts"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise BadSignature("the signature header does not tell one time", VerificationStep.HEADER)
    return times[0], [value for name, _, value in parts if name == "v1"]


def check_age(time: str, now: datetime, tolerance_s: int) -> None:
    """Raises Stale where the signed time, in seconds or milliseconds, is too far from now."""
    seconds = int(time) // (1000 if len(time) >= MILLISECONDS_DIGITS else 1)
    try:
        signed_at = moment_from_unix(seconds)
    except BadPayload as refused:
        raise BadSignature(refused.reason, VerificationStep.HEADER) from None
    if abs(now - signed_at).total_seconds() > tolerance_s:
        raise Stale(f"the signed time is more than {tolerance_s} s from now", signed_at)


def query_fields(query: str) -> Mapping[str, str]:
    """Returns the fields of the query string.  One that stands twice could be read as either."""
    try:
        pairs = parse_qsl(query, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise BadSignature("the query has too many fields", VerificationStep.HEADER) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadSignature("the query repeats a field", VerificationStep.HEADER)
    return fields


def request_id_of(request: Request) -> str | None:
    """Returns the request's id, which is signed where it is sent."""
    if not request.headers.get(REQUEST_ID_HEADER):
        return None
    request_id = request.header(REQUEST_ID_HEADER)
    if not _REQUEST_ID.fullmatch(request_id):
        raise BadSignature(f"{REQUEST_ID_HEADER} has characters that are none of an id's", VerificationStep.HEADER)
    return request_id


def signed_text(data_id: str | None, request_id: str | None, time: str) -> bytes:
    """Returns what is signed: a semicolon stands behind each part, and absent parts are left out."""
    parts = {"id": data_id, "request-id": request_id, "ts": time}
    return "".join(f"{name}:{value};" for name, value in parts.items() if value).encode(errors="replace")
