"""Implements Stripe: a signed event a delivery, and what its API answers."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable, VerificationStep
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, payments_of_refunds
from tillkeeper.gateways.kit.fact import Fact, in_minor_units, query_event, webhook_event
from tillkeeper.gateways.kit.fields import at, member, reference_or_none, text, text_or_none
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, EventPage, Query, Request, Response, Verified
from tillkeeper.gateways.statement_form import StatementForm
from tillkeeper.gateways.stripe import api
from tillkeeper.gateways.stripe.accounts import Owner, Whose
from tillkeeper.gateways.stripe.events import (
    DOUBTFUL,
    IGNORED,
    TYPES,
    created_of,
    doubtful,
    hides_a_tip,
    is_thin,
    never_made,
    query_about,
    snapshot_of,
    thin_query,
)
from tillkeeper.gateways.stripe.objects import method_of
from tillkeeper.gateways.stripe.settings import ABOUT, StripeSettings
from tillkeeper.gateways.stripe.signature import SIGNATURE_HEADER, SigningSecrets
from tillkeeper.gateways.stripe.statements import BalanceReport
from tillkeeper.gateways.stripe.states import facts_of

# What the merchant wrote down at the payment; client_reference_id is a checkout session's.
ORDER_REF_PATHS: Final = ("metadata.order_id", "client_reference_id")

PAYMENT_PREFIXES: Final = ("pi_", "ch_", "py_", "cs_")
ORGANIZATION_KEYS: Final = ("sk_org_",)

LIVE_BY_KEY_PREFIX: Final = {
    "sk_live_": True,
    "rk_live_": True,
    "sk_org_live_": True,
    "sk_test_": False,
    "rk_test_": False,
    "sk_org_test_": False,
}


class Stripe(Gateway):
    """One endpoint of one Stripe account."""

    name: ClassVar[str] = "stripe"
    settings: ClassVar[type[AccountModel]] = StripeSettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (BalanceReport,)
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: StripeSettings) -> None:
        self.account = account
        self._secrets = SigningSecrets(settings.webhook_secrets)
        key = settings.api_key or ""
        self.live = next((live for prefix, live in LIVE_BY_KEY_PREFIX.items() if key.startswith(prefix)), None)
        self._api_key = settings.api_key
        self._api_base = settings.api_base
        self._owner = Owner(settings.account_id, settings.connected_account)
        paths = ORDER_REF_PATHS if settings.order_ref_path is None else (settings.order_ref_path,)
        self._order_ref_paths = [path.split(".") for path in paths]
        self._search_field = next((path[1] for path in self._order_ref_paths if _is_metadata(path)), None)

    def verify(self, request: Request, now: datetime) -> Verified:
        """Accepts any `v1` signature by any of the secrets, for both exist twice while a secret is rolled."""
        label = self._secrets.label_of(request.header(SIGNATURE_HEADER), request.body, now)
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """Returns one label for each secret."""
        return self._secrets.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns the events of a type that TYPES knows; none of other types, and none of another account."""
        event = strictjson.json_of(verified)
        if is_thin(event) or self._whose(event) is not Whose.OURS:
            return ()
        return self._events_in(event)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Queries the object of an event that is thin, that leaves something open, or whose account is in doubt."""
        event = strictjson.json_of(verified)
        whose = self._whose(event)
        query = None if whose is Whose.OTHERS else self._query_for(event, whose)
        return () if query is None else (query,)

    def _query_for(self, event: object, whose: Whose) -> Query | None:
        if is_thin(event):
            self._check_mode(event)
            return thin_query(event)
        event_type = text(event, "type")
        if event_type not in TYPES:
            return None
        if whose is Whose.DOUBT:
            self._check_mode(event)
            subject = at(event, ["data", "object"])
            return query_about(text_or_none(subject, "object"), text_or_none(subject, "id"))
        if self._api_key is None or event_type not in DOUBTFUL:
            return None  # without a key what the event tells must do
        return doubtful(event_type, snapshot_of(event, created_of(event)))

    def _whose(self, event: object) -> Whose:
        """Raises BadPayload where the owner is in doubt and there is no key to query Stripe with."""
        if self._owner.connected is member(event, "account") is member(event, "context") is None:
            return Whose.OURS  # as with nearly every merchant
        whose = self._owner.whose(text_or_none(event, "account"), text_or_none(event, "context"))
        if whose is Whose.DOUBT and self._api_key is None:
            raise BadPayload("context names an account of an organization: name your own as account_id, or set api_key")
        return whose

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the payment of an event's object, and the order in its metadata."""
        try:
            event = strictjson.loads_unsigned(request.body)
            subject = at(event, ["related_object"] if is_thin(event) else ["data", "object"])
            refs = (reference_or_none(at(subject, [name])) for name in ("payment_intent", "id"))
            payment_ref = next((ref for ref in refs if ref is not None and ref.startswith(PAYMENT_PREFIXES)), None)
            order_ref = reference_or_none(self._order_ref(subject))
        except BadPayload:
            return None
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches an object by the prefix of its reference, or searches for the order's."""
        return self._call(api.path_of(query, self._search_field))

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the state of the object; what a search found is queried one by one."""
        reported_at = answered_at(response, now)
        if query.payment_ref is not None and query.payment_ref.startswith(api.SESSION_OF):
            return self._read_session(query, response, reported_at)
        content = api.content_of(response)
        if content is not None and is_thin(content):
            return self._read_never_made(content)
        found = [] if content is None else api.found_in(query, content)
        if query.about == "payment" and query.payment_ref is None:
            return self._read_search(query, found)
        events = tuple(event for subject in found for event in self._state_events(query, subject, reported_at))
        also = (*payments_of_refunds(query, events), *_session_queries(query, events))
        return Answer(found=bool(found), events=events, also=also)

    def _read_search(self, query: Query, found: list[object]) -> Answer:
        """Reads only what has a date, for a search lags behind by a minute and sometimes an hour."""
        ours = [subject for subject in found if self._order_ref(subject) == query.order_ref]
        events = [event for subject in ours for event in self._state_events(query, subject, None)]
        dated = tuple(msgspec.structs.replace(event, as_of=event.occurred_at) for event in events)
        also = tuple(msgspec.structs.replace(query, payment_ref=text(subject, "id")) for subject in ours)
        return Answer(found=bool(ours), events=dated, also=also)

    def _read_session(self, query: Query, response: Response, reported_at: datetime) -> Answer:
        """Reads whether the intent was paid at a discount.

        Nothing else hangs on it: a response that cannot be read counts as none.
        """
        try:
            content = api.content_of(response)
            found = [] if content is None else api.found_in(query, content)
            events = [event for subject in found for event in self._state_events(query, subject, reported_at)]
        except (Unavailable, AccessDenied, BadPayload):
            return Answer(found=False)
        return Answer(found=bool(found), events=tuple(event for event in events if event.discount is not None))

    def _read_never_made(self, event: object) -> Answer:
        """Queries the object of an event that Stripe could not make."""
        context, query = never_made(event)
        if query is None or self._owner.whose(None, context) is Whose.OTHERS:
            return Answer(found=True)
        return Answer(found=True, also=(query,))

    def events_request(self, *, since: datetime, until: datetime, after: str | None) -> Call:
        """Asks for a page of events, newest first; Stripe keeps 30 days."""
        return self._call(api.path_of_events(since, until, after))

    def read_events(self, response: Response) -> EventPage:
        """Returns the events as their webhooks bring them; one that cannot be read hides no other."""
        content = api.content_of(response)
        if content is None:
            raise BadPayload("the event to go on behind is no more")
        listed = api.listed(content)
        events: list[PaymentEvent] = []
        unread = 0
        for event in listed:
            try:
                if text_or_none(event, "account") in {None, self._owner.connected}:  # a list is of one account alone
                    events += self._events_in(event)
            except BadPayload:
                unread += 1
        after = text(listed[-1], "id") if listed and at(content, ["has_more"]) is True else None
        queried_events = tuple(msgspec.structs.replace(event, evidence=Evidence.QUERY) for event in events)
        return EventPage(events=queried_events, after=after, unread=unread)

    def _call(self, path: str) -> Call:
        if self._api_key is None:
            raise CannotQuery("api_key is not set")
        headers = {"Authorization": f"Bearer {self._api_key}", "Stripe-Version": api.API_VERSION}
        headers |= self._owner.headers(organization=self._api_key.startswith(ORGANIZATION_KEYS))
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def _events_in(self, event: object) -> tuple[PaymentEvent, ...]:
        event_type = text(event, "type")
        read = TYPES.get(event_type)
        if read is None:
            IGNORED.note(event_type)
            return ()
        self._check_mode(event)
        created = created_of(event)
        snapshot = snapshot_of(event, created)
        if self._api_key is not None and hides_a_tip(event_type, snapshot):
            return ()  # its intent is asked about
        event_id = text(event, "id")
        events: list[PaymentEvent] = []
        for fact in read(snapshot):
            completed = self._completed(fact, snapshot.subject, part=fact.kind if events else "")
            if completed is not None:
                events.append(webhook_event(completed, account=self.account, event_id=event_id, reported_at=created))
        return tuple(events)

    def _state_events(self, query: Query, subject: object, reported_at: datetime | None) -> Iterator[PaymentEvent]:
        """Yields the events of an object's state.

        Without `reported_at` it yields only what the object itself dates.
        """
        if at(subject, ["livemode"]) is not None:  # a refund does not tell
            self._check_mode(subject)
        order_ref = self._order_ref(subject) or query.order_ref
        for stated in facts_of(subject, reported_at):
            occurred_at = stated.fact.occurred_at or reported_at
            if occurred_at is None:
                continue
            fact = self._completed(stated.fact, stated.subject)
            if fact is not None:
                fact = msgspec.structs.replace(fact, order_ref=fact.order_ref or order_ref)
                yield query_event(fact, account=self.account, reported_at=occurred_at)

    def _check_mode(self, subject: object) -> None:
        """Refuses the other mode, lest test money pay live orders: the prefix of the API key tells the account's."""
        if self.live is not None and member(subject, "livemode") is not self.live:
            raise BadPayload(f"livemode is not {self.live}, as the api_key says it is", VerificationStep.MODE)

    def _completed(self, fact: Fact, subject: object, part: str = "") -> Fact | None:
        """Adds currency, order and method to a fact; None where nobody knows the currency."""
        currency = text(subject, "currency").upper()
        if not units.is_currency(currency):
            return None
        return in_minor_units(
            fact,
            currency,
            units.STRIPE,
            order_ref=self._order_ref(subject),
            method=method_of(subject) if fact.kind.is_payment else None,
            part=part,
        )

    def _order_ref(self, subject: object) -> str | None:
        for path in self._order_ref_paths:
            if ref := text_or_none(subject, *path):
                return ref
        return None


def _is_metadata(path: Sequence[str]) -> bool:
    """Tells whether an order reference stands at the top of the metadata, where a search finds it."""
    return path[:-1] == ["metadata"]


def _session_queries(query: Query, events: Sequence[PaymentEvent]) -> Iterator[Query]:
    """Returns the query for the session of an intent that brought too little: only that tells of coupons."""
    ref = query.payment_ref
    is_of_intent = query.about == "payment" and ref is not None and ref.startswith("pi_")
    if is_of_intent and _may_lack(query.amount_due, events):
        yield Query(about="payment", order_ref=query.order_ref, payment_ref=f"{api.SESSION_OF}{ref}")


def _may_lack(due: int | None, events: Sequence[PaymentEvent]) -> bool:
    """Tells whether an intent was paid, and perhaps with less than its order is due."""
    brought_in = [event.amount or 0 for event in events if event.kind is Kind.PAYMENT_SUCCEEDED]
    return bool(brought_in) and (due is None or sum(brought_in) < due)
