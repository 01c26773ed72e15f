"""Finds out why a delivery was refused, by trying what would have made it good.  Pure, and bounded in what it tries.

refused ──> the step says it (a header, a key, the mode, the body)
        └─> else try: at its own time · with the URL written otherwise · with the body written otherwise
                      · with the secrets of before · with other accounts' keys
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from tillkeeper.diagnostics.findings import BY_STEP, Diagnosis, Finding
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, Refused, Stale, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.messages import Request

TRIED_BODY_BYTES_MAX: Final = (
    64 * 1024
)  # each of some ten ways to write it costs its length; the largest seen is 38 KiB
TOO_LARGE: Final = f"it has more than {TRIED_BODY_BYTES_MAX // 1024} KiB, so that nothing more was tried"
TOO_LONG: Final = "looking further took too long"
OTHERS_MAX: Final = 50  # accounts whose keys are tried
_A_URL: Final = re.compile(r"https?://[!-~]+", re.ASCII)  # as settings may hold it: the one we saw can be anything
# How different gateways say that an object is of test mode.
MODE_FIELDS: Final = (
    ("livemode",),
    ("live_mode",),
    ("live",),
    ("data", "object", "livemode"),
    ("data", "domain"),  # Paystack
    ("_embedded", "entity", "mode"),  # Mollie
)
MODES: Final = {"true": True, "live": True, "false": False, "test": False}


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """A refused delivery, and whom it knocked at.

    `others` are all accounts by name, `former` the gateways that this account had before its settings changed.
    `with_url` builds the account's gateway with another URL of our own; `seen_url` is the URL as this receiver saw it.
    """

    gateway: Gateway
    request: Request
    now: datetime
    refused: Refused
    others: Mapping[str, Gateway] = {}
    former: Sequence[Gateway] = ()
    own_url: str | None = None
    with_url: Callable[[str], Gateway] | None = None
    seen_url: str | None = None
    out_of_time: Callable[[], bool] = lambda: False  # asked between two things that are tried


class OutOfTime(Exception):
    """What was left to try is not tried."""


def examine(patient: Patient) -> Diagnosis:
    """What was wrong.  Never raises."""
    refused, detail = patient.refused, ""
    try:
        for test in TESTS:
            found = test(patient)
            if found is not None:
                finding, detail = found
                return Diagnosis(finding=finding, reason=refused.reason, detail=detail)
    except OutOfTime:
        detail = TOO_LONG
    return Diagnosis(finding=BY_STEP[refused.step], reason=refused.reason, detail=detail)


def _go_on(patient: Patient) -> None:
    if patient.out_of_time():
        raise OutOfTime


Found = tuple[Finding, str] | None


def _is_good(gateway: Gateway, request: Request, now: datetime) -> bool:
    try:
        gateway.verify(request, now)
    except Refused:
        return False
    return True


def _is_proven(gateway: Gateway, request: Request, now: datetime) -> bool:
    """Good, and not only because the gateway signs nothing."""
    try:
        return gateway.verify(request, now).proven
    except Refused:
        return False


def _clock(patient: Patient) -> Found:
    """Good at the time that it says of itself, though not now."""
    refused = patient.refused
    if not isinstance(refused, Stale):
        return None
    if not _is_good(patient.gateway, patient.request, refused.signed_at):
        return Finding.WRONG_SECRET, "its time is off as well, and at that time it would not have been good either"
    apart_s = round((patient.now - refused.signed_at).total_seconds())
    return Finding.CLOCK_SKEW, f"it was signed {abs(apart_s)} s {'before' if apart_s > 0 else 'after'} it was received"


def _is_about_the_signature(patient: Patient) -> bool:
    return patient.refused.step in (VerificationStep.SIGNATURE, VerificationStep.KEY)


def _url(patient: Patient) -> Found:
    """Good if the URL that is signed along were written otherwise."""
    if patient.with_url is None or patient.own_url is None or not _is_about_the_signature(patient):
        return None
    for url in _urls_like(patient.own_url, patient.seen_url):
        _go_on(patient)
        if _is_good(patient.with_url(url), patient.request, patient.now):
            return Finding.URL_DIFFERS, f"it is signed for {url}, and {patient.gateway.own_url} says {patient.own_url}"
    return None


def _urls_like(url: str, seen: str | None) -> Iterator[str]:
    """The ways in which the same address is written by mistake."""
    for base in (it for it in (url, seen) if it):
        try:
            parts = urlsplit(base)
        except ValueError:  # a bracket without its other
            continue
        path = parts.path.rstrip("/")
        for scheme in ("https", "http"):
            for written in (path, f"{path}/"):
                for netloc in dict.fromkeys((parts.netloc, parts.netloc.lower(), parts.netloc.partition(":")[0])):
                    for query in dict.fromkeys((parts.query, "")):
                        candidate = urlunsplit((scheme, netloc, written, query, ""))
                        if candidate != url and _A_URL.fullmatch(candidate):
                            yield candidate


def _body(patient: Patient) -> Found:
    """Good if the body were written otherwise."""
    body = patient.request.body
    if not _is_about_the_signature(patient) or len(body) > TRIED_BODY_BYTES_MAX:
        return None
    for how, written in _bodies_like(body):
        _go_on(patient)
        if written != body and _is_good(patient.gateway, _with_body(patient.request, written), patient.now):
            return Finding.BODY_REENCODED, f"it is signed {how}"
    return None


def _bodies_like(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The ways in which software on the way changes a body."""
    yield "without white space at its end", body.rstrip()
    yield "with a line end behind it", body + b"\n"
    yield "with other line ends", body.replace(b"\r\n", b"\n")
    yield "with other line ends", body.replace(b"\n", b"\r\n")
    yield "without a byte order mark", body.removeprefix(b"\xef\xbb\xbf")
    yield "in UTF-8", _in_utf8(body)
    try:
        value: Any = strictjson.loads_unsigned(body)
    except BadPayload:
        return
    for how, options in WRITTEN.items():
        try:
            yield how, json.dumps(value, **options).encode()
        except (TypeError, ValueError):  # a Decimal's digits are not to be had back
            return


WRITTEN: Final[Mapping[str, dict[str, Any]]] = {
    "as compact JSON": {"separators": (",", ":"), "ensure_ascii": False},
    "as compact JSON in ASCII": {"separators": (",", ":")},
    "as JSON with spaces": {"ensure_ascii": False},
    "as JSON with spaces in ASCII": {},
    "as JSON indented by two": {"indent": 2, "ensure_ascii": False},
    "as JSON indented by two in ASCII": {"indent": 2},
    "as JSON indented by four": {"indent": 4, "ensure_ascii": False},
}


def _in_utf8(body: bytes) -> bytes:
    """What was UTF-8 before it was taken for Latin-1 and written as UTF-8 again."""
    try:
        return body.decode().encode("latin-1")
    except UnicodeError:
        return body


def _with_body(request: Request, body: bytes) -> Request:
    return msgspec.structs.replace(request, body=body)


def _old_secret(patient: Patient) -> Found:
    """Good by the settings of before."""
    if not _is_about_the_signature(patient):
        return None
    for gateway in patient.former:
        _go_on(patient)
        try:
            verified = gateway.verify(patient.request, patient.now)
        except Refused:
            continue
        return Finding.OLD_SECRET, f"it is signed with what was {verified.key} before the settings changed"
    return None


def _other_account(patient: Patient) -> Found:
    """Good by another account's keys, perhaps of another gateway.

    At whichever step it was refused: a gateway that decodes before it verifies calls another's delivery unreadable.
    """
    if _is_proven(patient.gateway, patient.request, patient.now):
        return None
    for name, gateway in sorted(patient.others.items())[:OTHERS_MAX]:
        _go_on(patient)
        if name != patient.gateway.account and _is_proven(gateway, patient.request, patient.now):
            return Finding.OTHER_ACCOUNT, f"it is right for the account {name} ({gateway.name})"
    return None


def _mode(patient: Patient) -> Found:
    """It says that it is of test mode, and the account is not, or the other way round."""
    live = patient.gateway.live
    if live is None or not _is_about_the_signature(patient):
        return None
    told = _told_mode(patient.request.body)
    if told is None or told is live:
        return None
    modes = {True: "live", False: "test"}
    return Finding.WRONG_MODE, f"it says that it is of {modes[told]} mode, and the account is of {modes[live]} mode"


def _told_mode(body: bytes) -> bool | None:
    try:
        content = strictjson.loads_unsigned(body)
    except BadPayload:
        return None
    for path in MODE_FIELDS:
        value: object = content
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        told = MODES.get(value) if isinstance(value, str) else value
        if isinstance(told, bool):
            return told
    return None


# The first that finds something is believed: what is likelier stands first.
TESTS: Final[Sequence[Callable[[Patient], Found]]] = (_clock, _old_secret, _other_account, _mode, _url, _body)
