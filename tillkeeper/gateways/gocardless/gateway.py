"""GoCardless: HMAC over the body, up to 250 events in one delivery, and no amount in any of them.

An event becomes one of ours where it needs neither an amount nor what came before it, and names the order: a payment
on its way, cancelled, or charged back.  A success needs its amount.  A failure may be late, which is to say that the
money was there and went back: that is a reversal, after which it may be collected again, and only the payment's own
history tells which.  For these GoCardless is asked, once for each payment of a delivery: not GET /payments/{id}, which
tells neither the cause nor what was before, but its list of that payment's events with the payment along
(`include=payment`).

Sources: the package `gocardless-pro` (`webhooks.py`, services) and GoCardless's API reference.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast
from urllib.parse import quote, urlencode

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret, Secrets
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.gocardless.objects import (
    ASKED_ACTIONS,
    REFUND_ACTIONS,
    Fact,
    amount_of,
    fact_of,
    facts_of,
    refund_fact,
)
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, status_error
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified

SIGNATURE_HEADER: Final = "webhook-signature"
API_VERSION: Final = "2015-07-06"
EVENTS_MAX: Final = 1000  # GoCardless sends at most 250, and lists at most 500
LISTED_MAX: Final = 500
_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)


class GoCardlessSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "gocardless"`."""

    gateway: Literal["gocardless"]
    webhook_secrets: Secrets = Field(
        description="The webhook endpoints' secrets (Developers > Webhook endpoints), both while one is replaced."
    )
    access_token: OneSecret = Field(
        description="An access token that may read (Developers > Access tokens).  GoCardless tells no amounts, so it "
        "must be asked."
    )
    organisation: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Your organisation's id (OR...), where a partner's endpoint tells of several: events of others "
        "change nothing.",
    )
    api_base: ApiBase = "https://api.gocardless.com"
    order_ref_path: Annotated[str, Field(min_length=1)] = Field(
        default="metadata.order_id",
        description="Where your order reference stands in GoCardless's payments, names with dots between them.",
    )


ABOUT: Final = About(
    title="GoCardless",
    verifies="HMAC-SHA256 over the body; several secrets at once",
    dedupes_by="each event's own `id`; what is asked for, by what the answer says",
    acknowledges="200 without a body",
    queries="payments by their ids, with all their events; refunds by their ids",
    refunds_seen="what went back in all",
    checked="the package `gocardless-pro` verifies, reads and asks; the list of events with `include` against "
    "documents only",
    sources=("the package `gocardless-pro`", "GoCardless's API reference, pages on events, payments and refunds"),
)


class GoCardless(Gateway):
    """One endpoint of one GoCardless account."""

    name: ClassVar[str] = "gocardless"
    settings: ClassVar[type[AccountModel]] = GoCardlessSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: GoCardlessSettings) -> None:
        self.account = account
        self._keys = HmacKeys("webhook_secrets", settings.webhook_secrets)
        self._access_token = settings.access_token
        self._organisation = settings.organisation
        self._api_base = settings.api_base
        self._order_ref_path = settings.order_ref_path.split(".")
        first, *rest = self._order_ref_path
        # Events carry the payment's metadata under another name.
        self._told_path = ["resource_metadata", *rest] if first == "metadata" and rest else None

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - GoCardless signs no time
        """Any of the secrets will do."""
        label = self._keys.label_in(request, SIGNATURE_HEADER, request.body)
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """One for each secret."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """The events that say all by themselves."""
        made = {}
        for event in self._events_in(verified):
            if (order_ref := self._order_ref_told(event)) is not None and (fact := fact_of(event)) is not None:
                ours = self._event(fact, text(event, "links", "payment"), event_id=text(event, "id"))
                made[ours.event_id] = _sound(ours, order_ref, text_or_none(event, "details", "scheme"))
        return tuple(made.values())

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """One query for each payment and each refund that other events are about."""
        asked = dict[Query, None]()
        for event in self._events_in(verified):
            resource = text(event, "resource_type")
            if resource == "payments" and self._order_ref_told(event) is None and fact_of(event) is not None:
                asked[Query(about="payment", payment_ref=_linked(event, "payment"))] = None
            elif resource == "refunds":
                if text(event, "action") not in REFUND_ACTIONS:
                    unknown_word("action of a refund", text(event, "action"))
                asked[Query(about="refund", refund_ref=_linked(event, "refund"))] = None
        return tuple(asked)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The first payment that any event is about."""
        try:
            for event in _listed(strictjson.loads_unsigned(request.body), "events"):
                if ref := reference_or_none(at(event, ["links", "payment"])):
                    return ClaimedReferences(payment_ref=ref)
        except BadPayload:
            pass
        return None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """A payment's events with the payment, or a refund."""
        if query.about == "refund":
            return self._call(f"/refunds/{quote(_id(query.refund_ref), safe='')}")
        ref = _id(query.payment_ref)
        filters = {"resource_type": "payments", "payment": ref, "include": "payment", "limit": LISTED_MAX}
        return self._call(f"/events?{urlencode(filters)}")

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Where the payment or the refund stands."""
        content = _content_of(response)
        told_at = answered_at(response, now)
        if content is None:
            return Answer(found=False)
        said = self._refund if query.about == "refund" else self._payment
        events = tuple(queried(event) for event in said(query, content, told_at))
        return Answer(found=query.about == "refund" or bool(_listed(content, "events")), events=events)

    def _call(self, path: str) -> Call:
        headers = {
            "Authorization": f"Bearer {self._access_token}",
            "GoCardless-Version": API_VERSION,
            "Accept": "application/json",
        }
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def _payment(self, query: Query, content: object, told_at: datetime) -> Iterator[PaymentEvent]:
        events = _listed(content, "events")
        if not events:
            return
        if any(at(it, ["links", "payment"]) != query.payment_ref for it in events):
            raise BadPayload("the answer is about another payment than the question")
        linked = _listed(at(content, ["linked"]), "payments")
        if len(linked) != 1 or text(linked[0], "id") != query.payment_ref:
            raise BadPayload("the answer does not tell the payment that was asked for")
        (payment,) = linked
        order_ref = text_or_none(payment, *self._order_ref_path) or query.order_ref
        ref, scheme = text(payment, "id"), text_or_none(payment, "scheme")
        if not units.is_currency(text(payment, "currency").upper()):
            return
        money = _money(payment, "amount")
        for fact in facts_of(payment, events, told_at):
            yield _sound(self._event(fact, ref, event_id="query", money=money), order_ref, scheme)
        given_back, currency = _money(payment, "amount_refunded") if at(payment, ["amount_refunded"]) else (0, "")
        if given_back:
            yield PaymentEvent(
                event_id="query",
                kind=Kind.REFUND_SUCCEEDED,
                account=self.account,
                occurred_at=told_at,
                order_ref=order_ref,
                payment_ref=ref,
                total=given_back,
                currency=currency,
            )

    def _refund(self, query: Query, content: object, told_at: datetime) -> Iterator[PaymentEvent]:
        refund = at(content, ["refunds"])
        if text(refund, "id") != query.refund_ref:
            raise BadPayload("the answer is about another refund than the question")
        if text_or_none(refund, "links", "payment") is None and text_or_none(refund, "links", "mandate") is not None:
            return  # of a mandate: money to the payer that came by no payment
        fact = refund_fact(refund, told_at)
        if fact is None or not units.is_currency(text(refund, "currency").upper()):
            return
        amount, currency = _money(refund, "amount")
        yield PaymentEvent(
            event_id="query",
            kind=fact.kind,
            account=self.account,
            occurred_at=fact.at,
            order_ref=text_or_none(refund, *self._order_ref_path) or query.order_ref,
            payment_ref=text(refund, "links", "payment"),
            refund_ref=text(refund, "id"),
            amount=amount,
            currency=currency,
            failure=fact.failure,
            failure_code=fact.failure_code,
        )

    def _event(
        self, fact: Fact, payment_ref: str, *, event_id: str, money: tuple[int, str] | None = None
    ) -> PaymentEvent:
        amount, currency = (None, None) if money is None else money
        return PaymentEvent(
            event_id=event_id,
            kind=fact.kind,
            account=self.account,
            occurred_at=fact.at,
            payment_ref=payment_ref,
            dispute_ref=None if fact.dispute is None else f"{payment_ref}:{fact.dispute}",
            amount=amount,
            currency=currency,
            failure=fact.failure,
            failure_code=fact.failure_code,
        )

    def _events_in(self, verified: Verified) -> list[object]:
        events = _events_of(cast("bytes", verified.content))
        if self._organisation is None:
            return events
        return [it for it in events if text_or_none(it, "links", "organisation") in {None, self._organisation}]

    def _order_ref_told(self, event: object) -> str | None:
        """The order of an event about a payment that need not be asked for; None for all others."""
        if self._told_path is None or text(event, "resource_type") != "payments":
            return None
        return None if text(event, "action") in ASKED_ACTIONS else text_or_none(event, *self._told_path)


def _sound(event: PaymentEvent, order_ref: str | None, scheme: str | None) -> PaymentEvent:
    """The event with its order and, where it is the payment's own, how the payer pays."""
    made = msgspec.structs.replace(event, order_ref=order_ref, method=scheme if event.kind.is_payment else None)
    if problem := problem_with(made):
        raise BadPayload(problem)
    return made


def _events_of(body: bytes) -> list[object]:
    events = _listed(strictjson.loads(body), "events")
    if len(events) > EVENTS_MAX:
        raise BadPayload(f"the delivery has more than {EVENTS_MAX} events")
    return events


def _listed(content: object, name: str) -> list[object]:
    listed = at(content, [name])
    if not isinstance(listed, list):
        raise BadPayload(f"{name} is no list")
    return listed


def _linked(event: object, name: str) -> str:
    """What an event is about; it goes into the path of a query."""
    ref = text(event, "links", name)
    if not _ID.fullmatch(ref):
        raise BadPayload(f"links.{name} is not one of GoCardless's ids")
    return ref


def _id(ref: str | None) -> str:
    if ref is None or not _ID.fullmatch(ref):
        raise CannotQuery("a reference is missing, or not one of GoCardless's")
    return ref


def _money(subject: object, name: str) -> tuple[int, str]:
    currency = text(subject, "currency").upper()
    return units.from_minor(amount_of(subject, name), currency), currency


def _content_of(response: Response) -> Mapping[str, object] | None:
    """What the response holds, or None where GoCardless knows of no such thing."""
    if response.status == OK:
        content = strictjson.loads(response.body)
        if not isinstance(content, dict):
            raise BadPayload("the answer is no object")
        return content
    if response.status == NOT_FOUND and at(strictjson.loads(response.body), ["error", "code"]) == NOT_FOUND:
        return None
    raise status_error(response)
