"""Stripe's API as far as Tillkeeper asks it: intents, search, charges, sessions, refunds and the list of events.

Stripe signs no answers; who asks must present the account's secret key, as Bearer or as Basic user.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe_objects import charge_of, intent_of, refund_of, session_of
from sandbox.signing import Json, charge_ref_of, session_ref_of
from sandbox.truth.books import Known
from sandbox.truth.ledger import Ledger

if TYPE_CHECKING:  # a play imports its API
    from sandbox.plays.stripe import StripeVoice

SEARCH_LAG: Final = timedelta(minutes=1)  # "data is searchable in less than a minute"
EVENTS_KEPT: Final = timedelta(days=30)
LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 100
API_VERSION: Final = "2025-09-30.clover"
_SEARCHED: Final = re.compile(r"""metadata\[["']order_id["']\]:["']((?:[^"'\\]|\\.)*)["']""")


class StripeApi:
    """One account's."""

    def __init__(self, voice: "StripeVoice", ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger
        self._numbers = 0

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:
        """One query."""
        if (refusal := self._refusal(put)) is not None:
            return refusal
        read = self._reader(put) if put.method == "GET" else None
        if read is None:
            message = f"Unrecognized request URL ({put.method}: {put.path})."
            return _error(404, "invalid_request_error", message, about="nothing")
        return read(put, now=now, knows_at=knows_at)

    def _reader(self, put: Put) -> Callable[..., Told] | None:
        """Who answers for a path."""
        parts = tuple(unquote(part) for part in put.path.rstrip("/").split("/")[1:])
        lists = {
            ("v1", "payment_intents", "search"): self._search,
            ("v1", "checkout", "sessions"): self._sessions,
            ("v1", "events"): self._events,
        }
        if parts in lists:
            return lists[parts]
        objects = {
            ("v1", "payment_intents"): self._intent,
            ("v1", "charges"): self._charge,
            ("v1", "checkout", "sessions"): self._session,
            ("v1", "refunds"): self._refund,
        }
        read = objects.get(parts[:-1])
        return None if read is None else partial(read, parts[-1])

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Stripe's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            message = (
                "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
            )
            return _error(status, "invalid_request_error", message, code="rate_limit", about="nothing")
        return _error(status, "api_error", "Sorry! Something went wrong on our end.", about="nothing")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        self._numbers += 1
        headers = {
            "Content-Type": "application/json",
            "Date": http_date(now),
            "Request-Id": f"req_{self._numbers:014d}",
            "Stripe-Version": API_VERSION,
            **told.headers,
        }
        return Sealed(
            status=told.status, headers=headers, body=told.body[: len(told.body) // 2] if forged else told.body
        )

    def _refusal(self, put: Put) -> Told | None:
        """401 without the account's key."""
        scheme, _, value = put.headers.get("authorization", "").partition(" ")
        key = value.strip()
        if scheme.lower() == "basic":
            try:
                key = b64decode(key, validate=True).decode().partition(":")[0]
            except ValueError:
                key = ""
        if key and key == self._voice.api_key:
            return None
        message = f"Invalid API Key provided: {key[:8]}****" if key else "You did not provide an API key."
        return _error(401, "invalid_request_error", message, about="nothing")

    def _search(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:
        found = _SEARCHED.fullmatch((put.first("query") or "").strip())
        if found is None:
            message = "The search query is malformed or holds a field that is not searchable here."
            return _error(400, "invalid_request_error", message, about="payment")
        order_ref = re.sub(r"\\(.)", r"\1", found[1])
        books = self._ledger.payments_of_order(self.account, order_ref, min(knows_at, now - SEARCH_LAG))
        page = {
            "object": "search_result",
            "data": [] if books is None else [_expanded(put, intent_of(books), books, "data.latest_charge")],
            "has_more": False,
            "next_page": None,
            "url": "/v1/payment_intents/search",
        }
        said = "nothing" if books is None else books.state
        return _found(page, about="payment", ref=order_ref, order_ref=order_ref, said=said)

    def _intent(self, ref: str, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        books = self._ledger.payment(self.account, ref, knows_at)
        if books is None:
            return _missing("payment_intent", "intent", ref, about="payment")
        intent = _expanded(put, intent_of(books), books, "latest_charge")
        return _found(intent, about="payment", ref=ref, order_ref=books.story.order_ref, said=intent["status"])

    def _charge(self, ref: str, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        books = self._ledger.payment(self.account, _payment_ref_of(ref), knows_at)
        charge = None if books is None else charge_of(books, with_refunds="refunds" in _expand(put))
        if books is None or charge is None:
            return _missing("charge", "id", ref, about="charge")
        if "payment_intent" in _expand(put):
            charge["payment_intent"] = intent_of(books)
        return _found(charge, about="charge", ref=ref, order_ref=books.story.order_ref, said=charge["status"])

    def _session(self, ref: str, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        books = self._ledger.payment(self.account, f"pi_{ref.removeprefix(session_ref_of('pi_'))}", knows_at)
        session = None if books is None else session_of(books)
        if books is None or session is None:
            return _missing("checkout.session", "session", ref, about="session")
        return _found(
            session, about="session", ref=ref, order_ref=books.story.order_ref, said=session["payment_status"]
        )

    def _sessions(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """The one in which an intent was paid."""
        ref = put.first("payment_intent") or ""
        books = self._ledger.payment(self.account, ref, knows_at)
        session = None if books is None else session_of(books)
        data = [] if session is None else [session]
        page = {"object": "list", "data": data, "has_more": False, "url": "/v1/checkout/sessions"}
        order_ref = "" if books is None else books.story.order_ref
        return _found(page, about="session", ref=ref, order_ref=order_ref, said=f"{len(data)} sessions")

    def _refund(self, ref: str, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        books = self._ledger.payment_of_refund(self.account, ref, knows_at)
        refund = None if books is None else books.refund(ref)
        if books is None or refund is None:
            return _missing("refund", "refund", ref, about="refund")
        told = refund_of(books.story, refund)
        return _found(told, about="refund", ref=ref, order_ref=books.story.order_ref, said=told["status"])

    def _events(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:
        """Newest first, a page at a time."""
        since = max(_moment(put, "created[gte]", "created[gt]") or now - EVENTS_KEPT, now - EVENTS_KEPT)
        until = min(_moment(put, "created[lte]", "created[lt]") or knows_at, knows_at)
        types = {value for name, value in put.query if name.partition("[")[0] in ("types", "type")}
        try:
            limit = min(LIMIT_MAX, max(1, int(put.first("limit") or LIMIT_DEFAULT)))
        except ValueError:
            return _error(400, "invalid_request_error", f"Invalid integer: {put.first('limit')}", about="events")
        after, page, waiting, more = put.first("starting_after"), list[Any](), False, False
        waiting = after is not None
        for story, happening in self._ledger.told(self.account, since=since, until=until):
            if types and happening.word not in types:
                continue
            if waiting:
                waiting = happening.event_id != after
                continue
            if len(page) == limit:
                more = True
                break
            page.append(json.loads(self._voice.body(story, happening, pending_webhooks=0)))
        listed = {"object": "list", "data": page, "has_more": more, "url": "/v1/events"}
        return _found(listed, about="events", ref=after or "", order_ref="", said=f"{len(page)} events")


def http_date(now: datetime) -> str:
    """As HTTP writes a time."""
    return format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _expand(put: Put) -> set[str]:
    return {value for name, value in put.query if name.partition("[")[0] == "expand"}


def _expanded(put: Put, intent: Json, books: Known, path: str) -> Json:
    """The charge in the intent if it is asked for, and the refunds in the charge."""
    asked = _expand(put)
    with_refunds = f"{path}.refunds" in asked
    if (path in asked or with_refunds) and intent["latest_charge"] is not None:
        intent["latest_charge"] = charge_of(books, with_refunds=with_refunds)
    return intent


def _payment_ref_of(charge_ref: str) -> str:
    return "pi_" + charge_ref.removeprefix(charge_ref_of("pi_"))


def _moment(put: Put, *names: str) -> datetime | None:
    for name in names:
        value = put.first(name)
        if value is not None and value.isascii() and value.isdigit():
            shift = {"created[gt]": 1, "created[lt]": -1}.get(name, 0)
            return datetime.fromtimestamp(int(value) + shift, UTC)
    return None


def _found(told: Json, *, about: str, ref: str, order_ref: str, said: str) -> Told:
    return Told(body=_json(told), about=about, ref=ref, order_ref=order_ref, said=said)


def _missing(kind: str, param: str, ref: str, *, about: str) -> Told:
    message = f"No such {kind}: '{ref}'"
    return _error(404, "invalid_request_error", message, code="resource_missing", param=param, about=about, ref=ref)


def _error(status: int, error_type: str, message: str, *, about: str, ref: str = "", **more: str) -> Told:
    error = {"message": message, "type": error_type, **more}
    if "code" in more:
        error["doc_url"] = f"https://stripe.com/docs/error-codes/{more['code'].replace('_', '-')}"
    said = more.get("code") or error_type
    return Told(status=status, body=_json({"error": error}), about=about, ref=ref, said=said)


def _json(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, indent=2, ensure_ascii=False).encode()
