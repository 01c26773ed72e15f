"""Checkout.com: HMAC over the body, then one event a delivery; captures and refunds are known by their actions.

Sources: checkout.com/docs, "Set up your webhook receiver", "Event types", "API response codes" and "Format the amount
value".  Its packages sign and verify nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Final, Literal, cast

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.checkout import api
from tillkeeper.gateways.checkout.objects import Said, balance, failure_of, money
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified

SIGNATURE_HEADER: Final = "cko-signature"


class CheckoutSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "checkout"`."""

    gateway: Literal["checkout"]
    signature_keys: Secrets = Field(
        description="The webhook's signature key (Settings > Webhooks, or a workflow's action).  Name the old one too "
        "until its last repetitions are through."
    )
    secret_key: OptionalSecret = Field(
        default=None,
        description="The secret API key with which Checkout.com is asked; it needs the scope to read payments.",
    )
    api_base: ApiBase = "https://api.checkout.com"


ABOUT: Final = About(
    title="Checkout.com",
    verifies="HMAC-SHA256 over the body; several keys at once; no time is signed",
    dedupes_by="the event's `id`",
    acknowledges="200 without a body",
    queries="payments by their ids or by the order reference in `reference`, with what was captured, is still held and "
    "was given back; refunds by their action's id; that a payer's bank took a payment back is told by webhook alone",
    refunds_seen="what went back in all",
    checked="documents only",
    sources=(
        'checkout.com/docs, "Set up your webhook receiver", "Event types", "API response codes"',
        'checkout.com/docs, "Format the amount value"',
        "not confirmed: the answers' lists of actions, and that a refund keeps its action's id while it is pending",
    ),
)


class Checkout(Gateway):
    """One webhook of one account."""

    name: ClassVar[str] = "checkout"
    settings: ClassVar[type[AccountModel]] = CheckoutSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: CheckoutSettings) -> None:
        self.account = account
        self._keys = HmacKeys("signature_keys", settings.signature_keys)
        self._secret_key = settings.secret_key
        self._api_base = settings.api_base

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Over the bytes as they came: written anew, numbers would differ."""
        return Verified(key=self._keys.label_in(request, SIGNATURE_HEADER, request.body), content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """One for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """The events for a type that TYPES knows, none for others."""
        event = strictjson.loads(cast("bytes", verified.content))
        event_type = text(event, "type")
        read = TYPES.get(event_type)
        if read is None:
            if event_type.startswith(FAMILIES) and event_type not in OF_NO_ORDER:
                unknown_word("type", event_type)
            return ()
        data = at(event, ["data"])
        written = text_or_none(data, "processed_on") or text_or_none(event, "created_on") or text(event, "timestamp")
        said, when, event_id = read(data), moment_from_rfc3339(written), text(event, "id")
        if said.currency is not None and not units.is_currency(said.currency.upper()):
            return ()
        told = [(event_id, said), *((f"{event_id}:{ending}", it) for ending, it in said.also)]
        made = tuple(msgspec.structs.replace(self._event(it, when), event_id=name) for name, it in told)
        if problem := next(filter(None, map(problem_with, made)), None):
            raise BadPayload(problem)
        return made

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment of an event, and the merchant's reference of it."""
        try:
            data = at(strictjson.loads_unsigned(request.body), ["data"])
            payment_ref = reference_or_none(at(data, ["payment_id"]) or at(data, ["id"]))
            order_ref = reference_or_none(at(data, ["reference"]))
        except BadPayload:
            return None
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """A payment by its id, the payments of a reference, or the actions of a payment."""
        path = api.path_of(query)
        if self._secret_key is None:
            raise CannotQuery("secret_key is not set")
        headers = {"Authorization": f"Bearer {self._secret_key}", "Accept": "application/json"}
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What each payment, or the refund among the actions, says of itself."""
        content = api.content_of(response)
        told_at = answered_at(response, now)
        found = [] if content is None else list(api.found_in(query, content))
        read = api.refund_states if query.about == "refund" else api.payment_states
        events = (self._event(said, said.since or told_at) for it in found for said in read(it, query, told_at))
        named = (msgspec.structs.replace(it, order_ref=it.order_ref or query.order_ref) for it in events)
        return Answer(found=bool(found), events=tuple(queried(it) for it in named))

    def _event(self, said: Said, when: datetime) -> PaymentEvent:
        currency = None if said.currency is None else said.currency.upper()
        return PaymentEvent(
            event_id="",
            kind=said.kind,
            account=self.account,
            occurred_at=when,
            order_ref=said.order_ref,
            payment_ref=said.payment_ref,
            capture_ref=said.capture_ref,
            refund_ref=said.refund_ref,
            dispute_ref=said.dispute_ref,
            amount=_minor(said.amount, currency),
            total=_minor(said.total, currency),
            currency=currency,
            failure=said.failure,
            failure_code=said.failure_code,
            method=said.method,
            as_of=said.as_of,
        )


def _minor(amount: object, currency: str | None) -> int | None:
    return None if amount is None or currency is None else units.from_minor(amount, currency, units.CHECKOUT)


def _payment(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Said]:
    """Reads an action on a payment as that."""

    def read(data: object) -> Said:
        said = Said(
            kind=kind,
            payment_ref=text(data, "id"),
            order_ref=text_or_none(data, "reference"),
            **money(data),
            method=text_or_none(data, "source", "type"),
        )
        if kind is Kind.PAYMENT_FAILED:
            why, code = failure_of(text_or_none(data, "response_code"))
            return msgspec.structs.replace(said, failure=why, failure_code=code)
        return msgspec.structs.replace(said, failure=failure)

    return read


def _incremented(data: object) -> Said:
    """More is authorized from now on: its amount is what came on top."""
    authorized = balance(data, "total_authorized")
    return msgspec.structs.replace(_payment(Kind.PAYMENT_AUTHORIZED)(data), amount=authorized)


def _captured(data: object) -> Said:
    """One of possibly several captures, each an action of its own, and what is left of the authorization."""
    said = msgspec.structs.replace(_payment(Kind.PAYMENT_SUCCEEDED)(data), capture_ref=text(data, "action_id"))
    left, authorized = balance(data, "available_to_capture"), balance(data, "total_authorized")
    if left is None or authorized is None or balance(data, "total_captured") == authorized:
        return said
    rest = msgspec.structs.replace(said, capture_ref=None)
    if left > 0:
        held = msgspec.structs.replace(rest, kind=Kind.PAYMENT_AUTHORIZED, amount=authorized)
        return msgspec.structs.replace(said, also=(("authorized", held),))
    let_go = msgspec.structs.replace(rest, kind=Kind.PAYMENT_CANCELLED, amount=None, failure=None)
    return msgspec.structs.replace(said, also=(("released", let_go),))


def _capture_declined(data: object) -> Said:
    """What can still be captured stays authorized.  The same capture may have been told before: it is undone."""
    left, authorized = balance(data, "available_to_capture"), balance(data, "total_authorized")
    undone = _undone(data, capture_ref=text_or_none(data, "action_id"))
    if not left:
        said = _payment(Kind.PAYMENT_FAILED)(data)
    else:
        said = msgspec.structs.replace(_payment(Kind.PAYMENT_AUTHORIZED)(data), amount=authorized)
    return msgspec.structs.replace(said, also=(("reversed", undone),))


def _voided(data: object) -> Said:
    """What can still be captured is not over.  Its amount is what was let go, not what is asked."""
    left = at(data, ["balances", "available_to_capture"])
    kind = Kind.PAYMENT_CANCELLED if left in (None, 0) else Kind.PAYMENT_AUTHORIZED
    failure = FailureClass.USER_CANCELLED if kind is Kind.PAYMENT_CANCELLED else None
    said = msgspec.structs.replace(_payment(kind, failure)(data), amount=None)
    if kind is Kind.PAYMENT_AUTHORIZED or balance(data, "total_captured") != 0:
        return said
    return msgspec.structs.replace(said, also=(("reversed", _undone(data)),))


def _undone(data: object, *, capture_ref: str | None = None) -> Said:
    """A capture that was told, or all of them, is no money."""
    return Said(
        kind=Kind.PAYMENT_REVERSED,
        payment_ref=text(data, "id"),
        order_ref=text_or_none(data, "reference"),
        capture_ref=capture_ref,
        **money(data),
    )


def _refund(kind: Kind) -> Callable[[object], Said]:
    """Reads a refund as that: its action is what tells it from others."""

    def read(data: object) -> Said:
        why, code = failure_of(text_or_none(data, "response_code")) if kind is Kind.REFUND_FAILED else (None, None)
        return Said(
            kind=kind,
            payment_ref=text(data, "id"),
            order_ref=text_or_none(data, "reference"),
            refund_ref=text(data, "action_id"),
            **money(data),
            failure=why,
            failure_code=code,
        )

    return read


def _dispute(kind: Kind) -> Callable[[object], Said]:
    """Reads a dispute as that."""

    def read(data: object) -> Said:
        return Said(
            kind=kind,
            payment_ref=text_or_none(data, "payment_id"),
            order_ref=text_or_none(data, "payment_reference"),
            dispute_ref=text(data, "id"),
            **money(data),
        )

    return read


# Of these families every type is known, or its name is noted; others are of no order's money.
FAMILIES: Final = ("payment_", "dispute_")
OF_NO_ORDER: Final = frozenset(
    {
        "payment_authentication_failed",
        "payment_authorization_increment_declined",
        "payment_capture_pending",
        "payment_compliance_review",
        "payment_paid",  # to somebody, by a payout
        "payment_void_declined",
    }
)
# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Callable[[object], Said]]] = {
    "payment_pending": _payment(Kind.PAYMENT_PENDING),
    "payment_approved": _payment(Kind.PAYMENT_AUTHORIZED),
    "payment_captured": _captured,
    "payment_declined": _payment(Kind.PAYMENT_FAILED),
    "payment_retry_scheduled": _payment(Kind.PAYMENT_PENDING),  # Checkout.com tries again by itself
    "payment_authorization_incremented": _incremented,
    "payment_capture_declined": _capture_declined,
    "payment_expired": _payment(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "payment_canceled": _payment(Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "payment_voided": _voided,
    "payment_refund_pending": _refund(Kind.REFUND_PENDING),
    "payment_refunded": _refund(Kind.REFUND_SUCCEEDED),
    "payment_refund_declined": _refund(Kind.REFUND_FAILED),
    "payment_returned": _undone,  # the payer's bank took back what had succeeded
    "dispute_received": _dispute(Kind.DISPUTE_OPENED),
    "dispute_evidence_required": _dispute(Kind.DISPUTE_OPENED),
    "dispute_evidence_submitted": _dispute(Kind.DISPUTE_OPENED),
    "dispute_evidence_acknowledged_by_scheme": _dispute(Kind.DISPUTE_OPENED),
    "dispute_arbitration_evidence_submitted": _dispute(Kind.DISPUTE_OPENED),
    "dispute_arbitration_sent_to_scheme": _dispute(Kind.DISPUTE_OPENED),
    "dispute_won": _dispute(Kind.DISPUTE_WON),
    "dispute_arbitration_won": _dispute(Kind.DISPUTE_WON),
    "dispute_canceled": _dispute(Kind.DISPUTE_WON),  # by the payer's bank
    "dispute_resolved": _dispute(Kind.DISPUTE_WON),  # the payment had been refunded before: nothing more is taken
    "dispute_lost": _dispute(Kind.DISPUTE_LOST),
    "dispute_arbitration_lost": _dispute(Kind.DISPUTE_LOST),
    "dispute_accepted": _dispute(Kind.DISPUTE_LOST),
    "dispute_expired": _dispute(Kind.DISPUTE_LOST),
}
