"""Explains captured requests: whether they verify or why not, and their events.  Changes nothing, makes no calls."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, Refused
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, moment_from_unix, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Request

_ACCOUNT_IN_URL: Final = re.compile(r"/webhooks/([^/?#]+)/?(?:[?#]|$)")


class UnreadableRequest(Exception):
    """The file is no captured delivery, or of no known account."""


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was received, with account and time, which are None where the file does not say."""

    account: str | None
    now: datetime | None
    request: Request
    url: str


Examine = Callable[[Gateway, Request, datetime, Refused, str], Mapping[str, str]]


def inspect_request(
    captured: bytes,
    accounts: Mapping[str, Gateway],
    account: str | None,
    now: datetime | None,
    *,
    default_now: datetime,
    examine: Examine | None = None,
) -> dict[str, Any]:
    """Returns what `tillkeeper inspect --json` prints for one file.  Never raises.

    Besides what every line has, `proven` stands there, as false, where nothing is signed and anybody could have sent
    it; `fetches` where the gateway is asked; `unknown` where it holds words that are in no list of ours; `remarks`
    where the configuration may not fit it; `diagnosis` where it is refused and `examine` is given.

    `account` and `now` are the options, which win over the file; `default_now` is the time where neither says.
    `examine` says more of a delivery that is refused (tillkeeper/diagnostics).
    """
    try:
        found = read_captured(captured)
        gateway = _gateway(accounts, account or found.account)
    except UnreadableRequest as error:
        return _refused(str(error))
    received_at = now or found.now or default_now
    try:
        return _explained(gateway, found.request, received_at)
    except Refused as refused:
        explained = _refused(refused.reason)
        if examine is not None:
            explained["diagnosis"] = examine(gateway, found.request, received_at, refused, found.url)
        return explained


def read_captured(captured: bytes) -> Captured:
    """Returns the request in a file's bytes, also of what `tillkeeper refused show --json` prints.

    Raises UnreadableRequest.
    """
    try:
        file = strictjson.loads(captured)
        _check_method(file)
        url = text_or_none(file, "url") or ""
        return Captured(
            account=text_or_none(file, "account") or _account_in(url),
            now=_moment(file),
            request=Request(_headers(at(file, ["headers"])), _body(file), query=_query_of(file, url)),
            url=url,
        )
    except BadPayload as refused:
        raise UnreadableRequest(f"not a captured delivery: {refused.reason}") from None


def _explained(gateway: Gateway, request: Request, now: datetime) -> dict[str, Any]:
    verified = gateway.verify(request, now)
    try:
        with unknown_words() as words:
            events, fetches = gateway.parse(verified), fetches_of(gateway, verified)
    except Refused as refused:
        # The receiver takes no such delivery, so nobody may read `true` and go on.
        proof = "the signature is good, but" if verified.proven else "nothing is signed, and"
        raise BadPayload(f"{proof} {refused.reason}", refused.step) from None
    found: dict[str, Any] = {"verified": True, "reason": None, "events": [_shown(event) for event in events]}
    if not verified.proven:
        found["proven"] = False
    if fetches:  # what happened is not in the delivery: the gateway is asked
        found["fetches"] = [msgspec.structs.asdict(fetch) for fetch in fetches]
    if remarks := gateway.remarks(verified):  # it is taken all the same
        found["remarks"] = list(remarks)
    if words:  # in no list of ours: nothing was guessed for them
        found["unknown"] = [msgspec.structs.asdict(word) for word in words]
    return found


def _refused(reason: str) -> dict[str, Any]:
    return {"verified": False, "reason": reason, "events": []}


def _shown(event: PaymentEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "kind": event.kind.value,
        "order_ref": event.order_ref,
        "payment_ref": event.payment_ref,
        "refund_ref": event.refund_ref,
        "amount": event.amount,
        "total": event.total,
        "currency": event.currency,
        "occurred_at": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "failure": None if event.failure is None else event.failure.value,
    }


def _gateway(accounts: Mapping[str, Gateway], name: str | None) -> Gateway:
    if name is None:
        raise UnreadableRequest(
            "no account is named: by the option, by `account`, or by a url ending in /webhooks/ACCOUNT"
        )
    if name not in accounts:
        raise UnreadableRequest(
            f"no account {name!r} is configured; there are: {', '.join(sorted(accounts)) or 'none'}"
        )
    return accounts[name]


def _check_method(file: object) -> None:
    if (text_or_none(file, "method") or "POST").upper() != "POST":
        raise BadPayload("the method is not POST, and the receiver takes nothing else")


def _account_in(url: str) -> str | None:
    found = _ACCOUNT_IN_URL.search(url)
    return found[1] if found else None


def _query_of(file: object, url: str) -> str:
    """Returns the raw text after the url's query mark; a refused delivery has it by itself, and no url."""
    return text_or_none(file, "query") or url.partition("#")[0].partition("?")[2]


def _moment(file: object) -> datetime | None:
    """Returns the time in `now`, or in `received_at` as a refused delivery has it."""
    seconds = at(file, ["now"])
    if seconds is None:
        received_at = text_or_none(file, "received_at")
        return None if received_at is None else moment_from_rfc3339(received_at)
    if type(seconds) is not int and not isinstance(seconds, Decimal):
        raise BadPayload("now is not a number of unix seconds")
    return moment_from_unix(int(seconds))


def _headers(headers: object) -> dict[str, list[str]]:
    """Returns headers with names in lower case; a value may be text or a list of texts, and names that differ in case
    are one."""
    collected: dict[str, list[str]] = {}
    for name, value in _named(headers):
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in values):
            raise BadPayload("a header is neither text nor a list of texts")
        collected.setdefault(name.lower(), []).extend(values)
    return collected


def _named(headers: object) -> Iterable[tuple[str, Any]]:
    """Yields names and values: of an object, or of a list of pairs, as a refused delivery has them."""
    match headers:
        case None:
            return
        case dict():
            yield from headers.items()
        case list():
            for pair in headers:
                match pair:
                    case [str() as name, value]:
                        yield name, value
                    case _:
                        raise BadPayload("a header in the list is no pair of name and value")
        case _:
            raise BadPayload("headers is neither an object nor a list of pairs")


def _body(file: object) -> bytes:
    body, encoded = at(file, ["body"]), at(file, ["body_b64"])
    if (body is None) is (encoded is None):
        raise BadPayload("it must have body or body_b64")
    chosen = body if encoded is None else encoded
    if not isinstance(chosen, str):
        raise BadPayload("the body is not text")
    try:
        return chosen.encode() if encoded is None else b64decode(chosen, validate=True)
    except ValueError:
        raise BadPayload("body_b64 is not base64") from None
