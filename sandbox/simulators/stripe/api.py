"""Simulates Stripe's API as far as Tillkeeper queries it: intents, search, charges, sessions, refunds and events.

Stripe signs no answers; who asks must present the account's secret key, as Bearer or as Basic user."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.formats import Json, http_date
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord
from tillkeeper.sandbox.simulators.stripe.objects import charge_ref_of, session_ref_of
from tillkeeper.sandbox.simulators.stripe.responses import charge_of, intent_of, refund_of, session_of
from tillkeeper.sandbox.simulators.stripe.signing import StripeSigner

SEARCH_LAG: Final = timedelta(minutes=1)  # "data is searchable in less than a minute"

EVENTS_KEPT: Final = timedelta(days=30)

LIMIT_DEFAULT: Final = 10

LIMIT_MAX: Final = 100

API_VERSION: Final = "2025-09-30.clover"

_SEARCHED: Final = re.compile(r"""metadata\[["']order_id["']\]:["']((?:[^"'\\]|\\.)*)["']""")


class StripeApi:
    """One account's."""

    def __init__(self, signer: "StripeSigner", ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)
        self._numbers = 0

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        """One query."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        read = self._reader(request) if request.method == "GET" else None
        if read is None:
            message = f"Unrecognized request URL ({request.method}: {request.path})."
            return _error(404, "invalid_request_error", message, about="nothing")
        return read(request, now=now, as_of=as_of)

    def _reader(self, request: ApiRequest) -> Callable[..., ApiResponse] | None:
        """Returns who answers for a path."""
        parts = tuple(unquote(part) for part in request.path.rstrip("/").split("/")[1:])
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

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Stripe's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            message = (
                "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
            )
            return _error(status, "invalid_request_error", message, code="rate_limit", about="nothing")
        return _error(status, "api_error", "Sorry! Something went wrong on our end.", about="nothing")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        self._numbers += 1
        headers = {
            "Content-Type": "application/json",
            "Date": http_date(now),
            "Request-Id": f"req_{self._numbers:014d}",
            "Stripe-Version": API_VERSION,
            **content.headers,
        }
        return SignedResponse(
            status=content.status,
            headers=headers,
            body=content.body[: len(content.body) // 2] if forged else content.body,
        )

    def _refusal(self, request: ApiRequest) -> ApiResponse | None:
        """401 without the account's key."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        key = value.strip()
        if scheme.lower() == "basic":
            try:
                key = b64decode(key, validate=True).decode().partition(":")[0]
            except ValueError:
                key = ""
        if key and key == self._signer.api_key:
            return None
        message = f"Invalid API Key provided: {key[:8]}****" if key else "You did not provide an API key."
        return _error(401, "invalid_request_error", message, about="nothing")

    def _search(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        found = _SEARCHED.fullmatch((request.first("query") or "").strip())
        if found is None:
            message = "The search query is malformed or holds a field that is not searchable here."
            return _error(400, "invalid_request_error", message, about="payment")
        order_ref = re.sub(r"\\(.)", r"\1", found[1])
        record = self._ledger.payment_of_order(order_ref, min(as_of, now - SEARCH_LAG))
        page = {
            "object": "search_result",
            "data": [] if record is None else [_expanded(request, intent_of(record), record, "data.latest_charge")],
            "has_more": False,
            "next_page": None,
            "url": "/v1/payment_intents/search",
        }
        summary = "nothing" if record is None else record.state
        return _found(page, about="payment", ref=order_ref, order_ref=order_ref, summary=summary)

    def _intent(self, ref: str, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        record = self._ledger.payment(ref, as_of)
        if record is None:
            return _missing("payment_intent", "intent", ref, about="payment")
        intent = _expanded(request, intent_of(record), record, "latest_charge")
        return _found(intent, about="payment", ref=ref, order_ref=record.story.order_ref, summary=intent["status"])

    def _charge(self, ref: str, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        record = self._ledger.payment(_payment_ref_of(ref), as_of)
        charge = None if record is None else charge_of(record, with_refunds="refunds" in _expand(request))
        if record is None or charge is None:
            return _missing("charge", "id", ref, about="charge")
        if "payment_intent" in _expand(request):
            charge["payment_intent"] = intent_of(record)
        return _found(charge, about="charge", ref=ref, order_ref=record.story.order_ref, summary=charge["status"])

    def _session(self, ref: str, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        record = self._ledger.payment(f"pi_{ref.removeprefix(session_ref_of('pi_'))}", as_of)
        session = None if record is None else session_of(record)
        if record is None or session is None:
            return _missing("checkout.session", "session", ref, about="session")
        return _found(
            session, about="session", ref=ref, order_ref=record.story.order_ref, summary=session["payment_status"]
        )

    def _sessions(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """Returns the one in which an intent was paid."""
        ref = request.first("payment_intent") or ""
        record = self._ledger.payment(ref, as_of)
        session = None if record is None else session_of(record)
        data = [] if session is None else [session]
        page = {"object": "list", "data": data, "has_more": False, "url": "/v1/checkout/sessions"}
        order_ref = "" if record is None else record.story.order_ref
        return _found(page, about="session", ref=ref, order_ref=order_ref, summary=f"{len(data)} sessions")

    def _refund(self, ref: str, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        record, refund = self._ledger.refund(ref, as_of)
        if record is None or refund is None:
            return _missing("refund", "refund", ref, about="refund")
        content = refund_of(record.story, refund)
        return _found(content, about="refund", ref=ref, order_ref=record.story.order_ref, summary=content["status"])

    def _events(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        """Newest first, a page at a time."""
        since = max(_moment(request, "created[gte]", "created[gt]") or now - EVENTS_KEPT, now - EVENTS_KEPT)
        until = min(_moment(request, "created[lte]", "created[lt]") or as_of, as_of)
        types = {value for name, value in request.query if name.partition("[")[0] in ("types", "type")}
        try:
            limit = min(LIMIT_MAX, max(1, int(request.first("limit") or LIMIT_DEFAULT)))
        except ValueError:
            return _error(400, "invalid_request_error", f"Invalid integer: {request.first('limit')}", about="events")
        after, page, waiting, more = request.first("starting_after"), list[Any](), False, False
        waiting = after is not None
        for story, event in self._ledger.events_between(since=since, until=until):
            if types and event.event_type not in types:
                continue
            if waiting:
                waiting = event.event_id != after
                continue
            if len(page) == limit:
                more = True
                break
            page.append(json.loads(self._signer.body(story, event, pending_webhooks=0)))
        listed = {"object": "list", "data": page, "has_more": more, "url": "/v1/events"}
        return _found(listed, about="events", ref=after or "", order_ref="", summary=f"{len(page)} events")


def _expand(request: ApiRequest) -> set[str]:
    return {value for name, value in request.query if name.partition("[")[0] == "expand"}


def _expanded(request: ApiRequest, intent: Json, record: PaymentRecord, path: str) -> Json:
    """Returns the charge in the intent if it is asked for, and the refunds in the charge."""
    asked = _expand(request)
    with_refunds = f"{path}.refunds" in asked
    if (path in asked or with_refunds) and intent["latest_charge"] is not None:
        intent["latest_charge"] = charge_of(record, with_refunds=with_refunds)
    return intent


def _payment_ref_of(charge_ref: str) -> str:
    return "pi_" + charge_ref.removeprefix(charge_ref_of("pi_"))


def _moment(request: ApiRequest, *names: str) -> datetime | None:
    for name in names:
        value = request.first(name)
        if value is not None and value.isascii() and value.isdigit():
            shift = {"created[gt]": 1, "created[lt]": -1}.get(name, 0)
            return datetime.fromtimestamp(int(value) + shift, UTC)
    return None


def _found(content: Json, *, about: str, ref: str, order_ref: str, summary: str) -> ApiResponse:
    return ApiResponse(body=_json(content), about=about, ref=ref, order_ref=order_ref, summary=summary)


def _missing(kind: str, param: str, ref: str, *, about: str) -> ApiResponse:
    message = f"No such {kind}: '{ref}'"
    return _error(404, "invalid_request_error", message, code="resource_missing", param=param, about=about, ref=ref)


def _error(status: int, error_type: str, message: str, *, about: str, ref: str = "", **more: str) -> ApiResponse:
    error = {"message": message, "type": error_type, **more}
    if "code" in more:
        error["doc_url"] = f"https://stripe.com/docs/error-codes/{more['code'].replace('_', '-')}"
    summary = more.get("code") or error_type
    return ApiResponse(status=status, body=_json({"error": error}), about=about, ref=ref, summary=summary)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode()
