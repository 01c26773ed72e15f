"""Mollie: two sorts of webhooks at one address, told apart by what arrives.

Classic, which each payment names by its `webhookUrl`: a form with the payment's id, no signature, and on purpose no
status.  Anybody can send one, so that it is a hint to ask Mollie, and no more.  Next-gen, to which an account
subscribes: JSON under an HMAC of the body.  A request without the header is a classic call, also where there are
signing secrets; one with the header must verify, and JSON without it is refused.

A next-gen event carries its entity only where the subscription says so, or is the entity itself: a payment or a refund
in an event is believed, and anything else that leads to payments is asked for.

Sources: Mollie's documentation, "Webhooks" and "Next-gen webhooks"; mollie-api-php, `src/Webhooks/SignatureValidator`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast
from urllib.parse import quote

import msgspec
from pydantic import Field

from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import ROTATED_MAX, AccountModel, ApiBase, OneSecret, Secret
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    CannotQuery,
    VerificationStep,
)
from tillkeeper.gateways.kit import form, strictjson
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import (
    at,
    moment_from_rfc3339,
    reference_or_none,
    text,
    text_or_none,
    written_or_none,
)
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, OK_OR_NOT_FOUND, check_status
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.mollie.objects import Fact, embedded, gave_back, payment_facts, refund_fact, returns_of

SIGNATURE_HEADER: Final = "x-mollie-signature"
SIGNATURE_PREFIX: Final = "sha256="
UNSIGNED: Final = "unsigned"
LIVE_BY_KEY_PREFIX: Final = {"live_": True, "test_": False}
LISTED_MAX: Final = 250  # payments of one link; the most that Mollie lists at once
_PAYMENT: Final = re.compile(r"tr_[A-Za-z0-9]{1,60}", re.ASCII)
_LINK: Final = re.compile(r"pl_[A-Za-z0-9]{1,60}", re.ASCII)
_ORDER: Final = re.compile(r"ord_[A-Za-z0-9.]{1,60}", re.ASCII)  # of the Orders API
_PAYMENT_PATH: Final = re.compile(r"https?://[^/?#]+/v2/payments/(tr_[A-Za-z0-9]{1,60})(?:[/?#].*)?", re.ASCII)
OF_A_PAYMENT: Final = ("refund", "chargeback", "capture")  # entities that name theirs
_REFUND: Final = re.compile(r"re_[A-Za-z0-9]{1,60}", re.ASCII)


class MollieSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "mollie"`."""

    gateway: Literal["mollie"]
    api_key: OneSecret = Field(
        description="The API key with which Mollie is asked (Developers > API keys), test_ or live_: it also tells "
        "the mode, and payments of the other one are refused."
    )
    signing_secrets: Annotated[tuple[Secret, ...], Field(max_length=ROTATED_MAX, repr=False)] = Field(
        default=(),
        description="The signing secrets of next-gen webhooks (Developers > Webhooks), if you subscribe to any.",
    )
    api_base: ApiBase = "https://api.mollie.com"
    order_ref_path: Annotated[str, Field(min_length=1)] = Field(
        default="metadata.order_id",
        description="Where your order reference stands in Mollie's payments, names with dots between them.",
    )


ABOUT: Final = About(
    title="Mollie",
    verifies="classic: nothing is signed, and Mollie is asked; next-gen: HMAC-SHA256 over the body, several secrets",
    uncovered="a classic call is only believed to name a payment, and what Mollie then answers is what counts",
    dedupes_by="next-gen: the event's `id`; classic: what the answer says",
    acknowledges="200 without a body, also for a payment that nobody knows",
    queries="payments by their ids, with refunds and chargebacks; payments of a payment link or of an order of the "
    "Orders API; refunds",
    refunds_seen="each refund, and what went back in all",
    checked="the package `mollie-api-python` asks and reads; signatures and next-gen events against documents only",
    sources=("Mollie's documentation on webhooks and its API reference", "mollie-api-php, `SignatureValidator`"),
)


class Mollie(Gateway):
    """One profile at Mollie, in one mode."""

    name: ClassVar[str] = "mollie"
    settings: ClassVar[type[AccountModel]] = MollieSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: MollieSettings) -> None:
        self.account = account
        self.live = LIVE_BY_KEY_PREFIX.get(settings.api_key[:5])
        self._keys = HmacKeys("signing_secrets", settings.signing_secrets)
        self._has_keys = bool(settings.signing_secrets)
        self._api_key = settings.api_key
        self._api_base = settings.api_base
        self._order_ref_path = settings.order_ref_path.split(".")

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - Mollie signs no time
        """Any signature in the header, by any of the secrets; without the header it is a classic call."""
        if not request.headers.get(SIGNATURE_HEADER):
            if _is_event(request.body):
                raise BadSignature("a next-gen event is signed, and this one is not", VerificationStep.HEADER)
            return Verified(key=UNSIGNED, content=request.body, proven=False)
        if not self._has_keys:
            raise BadSignature("signing_secrets is not set", VerificationStep.KEY)
        label = self._keys.label_in(request, SIGNATURE_HEADER, request.body, prefix=SIGNATURE_PREFIX)
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """One for each secret."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """What an event says of a payment or a refund within; a classic call says nothing."""
        body = cast("bytes", verified.content)
        if not verified.proven or not _is_event(body):
            return ()
        event = strictjson.loads(body)
        entity, told_at = _entity_of(event), _told_at(event)
        if entity is None or told_at is None:
            return ()
        match at(entity, ["resource"]):
            case "payment":
                facts, payment = payment_facts(entity, told_at), entity
            case "refund":
                facts, payment = filter(None, [refund_fact(entity, told_at)]), {"id": text(entity, "paymentId")}
            case _:
                return ()
        self._check_mode(entity)
        event_id = text(event, "id")
        return tuple(
            self._event(fact, payment, event_id=event_id if at_ == 0 else f"{event_id}:{fact.kind}", as_of=told_at)
            for at_, fact in enumerate(facts)
        )

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The payment, link or order that a call names, unless an event within said all."""
        body = cast("bytes", verified.content)
        if not _is_event(body):
            ref = form.decode(body).fields.get("id")
            if reference_or_none(ref) is None:
                raise BadPayload("the call does not name anything by an id of Mollie's")
        else:
            ref = _named_in(strictjson.loads(body))
        if ref is None or not any(it.fullmatch(ref) for it in (_PAYMENT, _LINK, _ORDER)):
            return ()
        return (Query(about="payment", payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment that a next-gen event is about; classic calls need no proof."""
        try:
            ref = reference_or_none(at(strictjson.loads_unsigned(request.body), ["entityId"]))
        except BadPayload:
            return None
        return ClaimedReferences(payment_ref=ref) if ref is not None and _PAYMENT.fullmatch(ref) else None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """A payment with what went back of it, the payments of a link, or one refund of a payment."""
        ref = query.payment_ref or ""
        if query.about == "refund":
            if not _PAYMENT.fullmatch(ref) or not _REFUND.fullmatch(query.refund_ref or ""):
                raise CannotQuery("a refund is asked for by its own reference and its payment's")
            return self._call(f"payments/{_quoted(ref)}/refunds/{_quoted(query.refund_ref or '')}")
        if _LINK.fullmatch(ref):
            return self._call(f"payment-links/{_quoted(ref)}/payments?limit={LISTED_MAX}")
        if _ORDER.fullmatch(ref):
            return self._call(f"orders/{_quoted(ref)}?embed=payments")
        if not _PAYMENT.fullmatch(ref):
            raise CannotQuery("a reference is missing, or not one of Mollie's")
        return self._call(f"payments/{_quoted(ref)}?embed=refunds%2Cchargebacks")

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Where the payments, or the refund, stand."""
        content = _content_of(response)
        if content is None:
            return Answer(found=False)
        told_at = answered_at(response, now)
        if query.about == "refund":
            if text(content, "id") != query.refund_ref or text(content, "paymentId") != query.payment_ref:
                raise BadPayload("the answer is about another refund than the question")
            self._check_mode(content)
            payment, fact = {"id": query.payment_ref}, refund_fact(content, told_at)
            told = () if fact is None else (self._event(fact, payment, event_id="query", else_for=query),)
            return Answer(found=True, events=tuple(queried(event) for event in told))
        if _ORDER.fullmatch(query.payment_ref or ""):
            return self._hear_order(query, content, told_at)
        payments = self._payments_in(query, content)
        events = (it for payment in payments for it in self._said_by(payment, query, told_at))
        return Answer(found=bool(payments), events=tuple(queried(event) for event in events))

    def _hear_order(self, query: Query, order: object, told_at: datetime) -> Answer:
        """Its payments, each asked about for what went back of it.  They name the order as their order's page does."""
        if text(order, "id") != query.payment_ref:
            raise BadPayload("the answer is about another order than the question")
        order_ref = self._order_ref(order) or text_or_none(order, "orderNumber") or query.order_ref
        asked = msgspec.structs.replace(query, order_ref=order_ref)
        payments = embedded(order, "payments") or []
        events = (it for payment in payments for it in self._said_by(payment, asked, told_at))
        return Answer(
            found=True,
            events=tuple(queried(event) for event in events),
            also=tuple(msgspec.structs.replace(asked, payment_ref=_payment_id(it)) for it in payments if gave_back(it)),
        )

    def _payments_in(self, query: Query, content: object) -> list[object]:
        if _LINK.fullmatch(query.payment_ref or ""):
            listed = embedded(content, "payments")
            if listed is None:
                raise BadPayload("the answer lists no payments")
            return listed
        if text(content, "id") != query.payment_ref:
            raise BadPayload("the answer is about another payment than the question")
        return [content]

    def _said_by(self, payment: object, query: Query, told_at: datetime) -> Iterator[PaymentEvent]:
        self._check_mode(payment)
        for fact in (*payment_facts(payment, told_at), *returns_of(payment, told_at)):
            yield self._event(fact, payment, event_id="query", else_for=query)

    def _call(self, path: str) -> Call:
        headers = {"Authorization": f"Bearer {self._api_key}", "Accept": "application/hal+json"}
        return Call(method="GET", url=f"{self._api_base}/v2/{path}", headers=headers)

    def _check_mode(self, subject: object) -> None:
        """Test money must not pay live orders: the kind of API key tells the mode of this account."""
        mode = at(subject, ["mode"])  # a refund may not tell
        if self.live is not None and mode is not None and mode != ("live" if self.live else "test"):
            raise BadPayload("mode is not the api_key's", VerificationStep.MODE)

    def _event(
        self,
        fact: Fact,
        payment: object,
        *,
        event_id: str,
        else_for: Query | None = None,
        as_of: datetime | None = None,
    ) -> PaymentEvent:
        made = PaymentEvent(
            event_id=event_id,
            kind=fact.kind,
            account=self.account,
            occurred_at=fact.at,
            order_ref=self._order_ref(payment) or (None if else_for is None else else_for.order_ref),
            payment_ref=text(payment, "id"),
            capture_ref=fact.capture_ref,
            refund_ref=fact.refund_ref,
            dispute_ref=fact.dispute_ref,
            amount=fact.amount,
            total=fact.total,
            currency=fact.currency,
            failure=fact.failure,
            failure_code=fact.failure_code,
            method=fact.method,
            as_of=as_of,
        )
        if problem := problem_with(made):
            raise BadPayload(problem)
        return made

    def _order_ref(self, payment: object) -> str | None:
        """Metadata may hold anything: what is no object on the way names no order.  JSON as text is read as such."""
        found = payment
        for name in self._order_ref_path:
            if isinstance(found, str) and found.startswith("{"):
                found = _object_in(found)
            found = found.get(name) if isinstance(found, dict) else None
        return written_or_none(found)


def _is_event(body: bytes) -> bool:
    """Next-gen events are JSON, and classic calls are forms."""
    return body.lstrip().startswith(b"{")


def _entity_of(event: object) -> object:
    """The entity that an event carries; None where it carries none."""
    entity = at(event, ["_embedded", "entity"])
    if entity is not None and text(entity, "id") != text(event, "entityId"):
        raise BadPayload("the event carries another entity than it names")
    return entity


def _told_at(event: object) -> datetime | None:
    """When the event was made; None where it is no event but the entity itself, which is asked for."""
    return moment_from_rfc3339(text(event, "createdAt")) if at(event, ["resource"]) == "event" else None


def _named_in(event: object) -> str | None:
    """What a next-gen event has us ask about; None where it says all, or is about no payment."""
    is_event = at(event, ["resource"]) == "event"
    entity, ref = (_entity_of(event), text(event, "entityId")) if is_event else (event, text(event, "id"))
    resource = at(entity, ["resource"])
    if resource == "payment" and is_event and not gave_back(entity):
        return None
    if resource == "refund" and is_event:
        return None
    if resource in OF_A_PAYMENT:
        return text(entity, "paymentId")
    if ref.startswith(NAMED_BY_PAYMENTS) and entity is None:
        return _payment_linked(event)
    return ref


NAMED_BY_PAYMENTS: Final = ("re_", "chb_", "cpt_")


def _payment_linked(event: object) -> str:
    """The payment of a refund, chargeback or capture that an event only names: its link leads through it."""
    found = _PAYMENT_PATH.fullmatch(text_or_none(event, "_links", "entity", "href") or "")
    if found is None:
        raise BadPayload("the event does not name the payment: subscribe to the full payload")
    return found[1]


def _payment_id(payment: object) -> str:
    return text(payment, "id")


def _object_in(written: str) -> object:
    try:
        return strictjson.loads(written.encode())
    except BadPayload:
        return None


def _quoted(ref: str) -> str:
    return quote(ref, safe="")


def _content_of(response: Response) -> Mapping[str, object] | None:
    """What the response holds, or None where Mollie knows of no such thing."""
    check_status(response, accepted=OK_OR_NOT_FOUND)
    content = strictjson.loads(response.body)
    if not isinstance(content, dict):
        raise BadPayload("the answer is no object")
    if response.status == OK:
        return content
    if content.get("status") != NOT_FOUND:  # Mollie's errors repeat it
        raise BadPayload("status 404, and not in Mollie's words")
    return None
