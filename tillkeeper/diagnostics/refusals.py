"""Diagnoses a refused request by checks that each try one change which would have made it valid.  Pure and bounded.

at its own time · with earlier secrets · with other accounts' keys · in the other mode · with another URL or body
──> the first check that finds something decides; else the step at which verification failed
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
_A_URL: Final = re.compile(r"https?://[!-~]+", re.ASCII)  # as settings may hold it: a received URL may be anything
# How gateways mark objects of test mode.
MODE_FIELDS: Final = (
    ("livemode",),
    ("live_mode",),
    ("live",),
    ("data", "object", "livemode"),
    ("data", "domain"),  # Paystack
    ("_embedded", "entity", "mode"),  # Mollie
)
MODES: Final = {"true": True, "live": True, "false": False, "test": False}


class RefusedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was refused, with the account that received it and all that the checks may compare.

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
    out_of_time: Callable[[], bool] = lambda: False  # called between two checks


class OutOfTime(Exception):
    """The time for the diagnosis is over: the remaining checks are left out."""


def diagnose(refused_request: RefusedRequest) -> Diagnosis:
    """Returns why the request was refused.  Never raises."""
    refused, detail = refused_request.refused, ""
    try:
        for check in CHECKS:
            found = check(refused_request)
            if found is not None:
                finding, detail = found
                return Diagnosis(finding=finding, reason=refused.reason, detail=detail)
    except OutOfTime:
        detail = TOO_LONG
    return Diagnosis(finding=BY_STEP[refused.step], reason=refused.reason, detail=detail)


def _check_time(refused_request: RefusedRequest) -> None:
    if refused_request.out_of_time():
        raise OutOfTime


Found = tuple[Finding, str] | None


def _is_good(gateway: Gateway, request: Request, now: datetime) -> bool:
    try:
        gateway.verify(request, now)
    except Refused:
        return False
    return True


def _is_proven(gateway: Gateway, request: Request, now: datetime) -> bool:
    """Returns whether the request verifies, and not only because the gateway signs nothing."""
    try:
        return gateway.verify(request, now).proven
    except Refused:
        return False


def _clock(refused_request: RefusedRequest) -> Found:
    """Finds a clock that is off: the request verifies at its own time, but not now."""
    refused = refused_request.refused
    if not isinstance(refused, Stale):
        return None
    if not _is_good(refused_request.gateway, refused_request.request, refused.signed_at):
        return Finding.WRONG_SECRET, "its time is off as well, and at that time it would not have been good either"
    apart_s = round((refused_request.now - refused.signed_at).total_seconds())
    return Finding.CLOCK_SKEW, f"it was signed {abs(apart_s)} s {'before' if apart_s > 0 else 'after'} it was received"


def _is_about_the_signature(refused_request: RefusedRequest) -> bool:
    return refused_request.refused.step in (VerificationStep.SIGNATURE, VerificationStep.KEY)


def _url(refused_request: RefusedRequest) -> Found:
    """Finds a URL, signed along with the body, that is written otherwise in the configuration."""
    if (
        refused_request.with_url is None
        or refused_request.own_url is None
        or not _is_about_the_signature(refused_request)
    ):
        return None
    for url in _urls_like(refused_request.own_url, refused_request.seen_url):
        _check_time(refused_request)
        if _is_good(refused_request.with_url(url), refused_request.request, refused_request.now):
            return (
                Finding.URL_DIFFERS,
                f"it is signed for {url}, and {refused_request.gateway.own_url} says {refused_request.own_url}",
            )
    return None


def _urls_like(url: str, seen: str | None) -> Iterator[str]:
    """Yields the ways in which one address is written by mistake."""
    for base in filter(None, (url, seen)):
        try:
            parts = urlsplit(base)
        except ValueError:  # an unmatched bracket
            continue
        path = parts.path.rstrip("/")
        for scheme in ("https", "http"):
            for written in (path, f"{path}/"):
                for netloc in dict.fromkeys((parts.netloc, parts.netloc.lower(), parts.netloc.partition(":")[0])):
                    for query in dict.fromkeys((parts.query, "")):
                        candidate = urlunsplit((scheme, netloc, written, query, ""))
                        if candidate != url and _A_URL.fullmatch(candidate):
                            yield candidate


def _body(refused_request: RefusedRequest) -> Found:
    """Finds a body that software on the way rewrote."""
    body = refused_request.request.body
    if not _is_about_the_signature(refused_request) or len(body) > TRIED_BODY_BYTES_MAX:
        return None
    for how, written in _bodies_like(body):
        _check_time(refused_request)
        if written != body and _is_good(
            refused_request.gateway, _with_body(refused_request.request, written), refused_request.now
        ):
            return Finding.BODY_REENCODED, f"it is signed {how}"
    return None


def _bodies_like(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the ways in which software on the way changes a body."""
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
        except (TypeError, ValueError):  # the digits of a Decimal cannot be restored
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
    """Returns what was UTF-8 before it was taken for Latin-1 and written as UTF-8 again."""
    try:
        return body.decode().encode("latin-1")
    except UnicodeError:
        return body


def _with_body(request: Request, body: bytes) -> Request:
    return msgspec.structs.replace(request, body=body)


def _old_secret(refused_request: RefusedRequest) -> Found:
    """Finds a secret that the settings held before."""
    if not _is_about_the_signature(refused_request):
        return None
    for gateway in refused_request.former:
        _check_time(refused_request)
        try:
            verified = gateway.verify(refused_request.request, refused_request.now)
        except Refused:
            continue
        return Finding.OLD_SECRET, f"it is signed with what was {verified.key} before the settings changed"
    return None


def _other_account(refused_request: RefusedRequest) -> Found:
    """Finds another account, perhaps of another gateway, by whose keys the request verifies.

    The step of the refusal does not matter: a gateway that decodes before it verifies calls another's unreadable.
    """
    if _is_proven(refused_request.gateway, refused_request.request, refused_request.now):
        return None
    for name, gateway in sorted(refused_request.others.items())[:OTHERS_MAX]:
        _check_time(refused_request)
        if name != refused_request.gateway.account and _is_proven(
            gateway, refused_request.request, refused_request.now
        ):
            return Finding.OTHER_ACCOUNT, f"it is right for the account {name} ({gateway.name})"
    return None


def _mode(refused_request: RefusedRequest) -> Found:
    """Finds a request of test mode at an account of live mode, or the other way round."""
    live = refused_request.gateway.live
    if live is None or not _is_about_the_signature(refused_request):
        return None
    stated = _stated_mode(refused_request.request.body)
    if stated is None or stated is live:
        return None
    modes = {True: "live", False: "test"}
    return Finding.WRONG_MODE, f"it says that it is of {modes[stated]} mode, and the account is of {modes[live]} mode"


def _stated_mode(body: bytes) -> bool | None:
    try:
        content = strictjson.loads_unsigned(body)
    except BadPayload:
        return None
    for path in MODE_FIELDS:
        value: object = content
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        stated = MODES.get(value) if isinstance(value, str) else value
        if isinstance(stated, bool):
            return stated
    return None


# The first check that finds something decides: the likelier cause stands first.
CHECKS: Final[Sequence[Callable[[RefusedRequest], Found]]] = (_clock, _old_secret, _other_account, _mode, _url, _body)
