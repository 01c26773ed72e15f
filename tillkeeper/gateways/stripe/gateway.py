"""Stripe: HMAC over `<t>.<body>`, then one event a delivery; and what its API answers.

Source: the package `stripe` (`_webhook.py`, WebhookSignature) for the signature.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hmac import compare_digest
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from pydantic import Field

from tillkeeper.domain.events import Evidence, Kind, PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.freshness import check_fresh
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Page, Query, Request, Response, Verified
from tillkeeper.gateways.stripe import api
from tillkeeper.gateways.stripe.accounts import ACCOUNT_PATTERN, Owner, Whose
from tillkeeper.gateways.stripe.events import (
    DOUBTFUL,
    TYPES,
    created_of,
    doubtful,
    hides_a_tip,
    is_thin,
    never_made,
    question_about,
    snapshot_of,
    thin_question,
)
from tillkeeper.gateways.stripe.objects import Fact, method_of, minor_units

SIGNATURE_HEADER: Final = "stripe-signature"
SIGNATURE_HEADER_CHARS_MAX: Final = 1024  # a rolled secret makes two signatures of 67 characters


class StripeSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "stripe"`.  Secrets are whole, `whsec_` included."""

    gateway: Literal["stripe"]
    webhook_secrets: Secrets = Field(
        description="The endpoint's signing secrets, whole, with whsec_ (Developers > Webhooks).  While one is rolled, "
        "name both."
    )
    api_key: OptionalSecret = Field(
        default=None,
        description="The secret or restricted API key with which Stripe is asked.  It also tells live from test: "
        "events of the other mode are refused.",
    )
    api_base: ApiBase = "https://api.stripe.com"
    order_ref_path: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Where your order reference stands in Stripe's objects, names with dots between them.  None looks "
        "at metadata.order_id, then client_reference_id.",
    )
    account_id: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = Field(
        default=None,
        description="Your own account (acct_...), where the destination is an organization's and tells of several: "
        "events of others change nothing, and an organization's key asks on its behalf.  None has whatever comes with "
        "a `context` asked about with the account's own key.",
    )
    connected_account: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = Field(
        default=None,
        description="Of a Connect platform, the one connected account (acct_...) whose events these are; Stripe is "
        "asked on its behalf.  None takes your own account's alone: whoever controls a connected one could pay your "
        "orders.",
    )


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


ABOUT: Final = About(
    title="Stripe",
    verifies="HMAC-SHA256 over the time and the body, signed within 300 s; several secrets and signatures at once",
    dedupes_by="the event's `id`",
    acknowledges="200 without a body",
    queries="intents, charges, checkout sessions, refunds and disputes by their ids; intents by the order reference in "
    "their metadata, and the session in which one was paid; the list of events of the last 30 days",
    refunds_seen="what went back in all",
    checked="the package `stripe` signs",
    sources=("the package `stripe`, `_webhook.py`", "Stripe's API reference, pages on decline codes and on currencies"),
)


class Stripe(Gateway):
    """One endpoint of one Stripe account."""

    name: ClassVar[str] = "stripe"
    settings: ClassVar[type[AccountModel]] = StripeSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: StripeSettings) -> None:
        self.account = account
        self._keyed = [  # once: to set up a key costs half of what signing a body does
            (key_label("webhook_secrets", at, secret), HMAC(secret.encode(), SHA256()))
            for at, secret in enumerate(settings.webhook_secrets)
        ]
        key = settings.api_key or ""
        self.live = next((live for prefix, live in LIVE_BY_KEY_PREFIX.items() if key.startswith(prefix)), None)
        self._api_key = settings.api_key
        self._api_base = settings.api_base
        self._owner = Owner(settings.account_id, settings.connected_account)
        paths = ORDER_REF_PATHS if settings.order_ref_path is None else (settings.order_ref_path,)
        self._order_ref_paths = [path.split(".") for path in paths]
        fields = [path[1] for path in self._order_ref_paths if path[0] == "metadata" and len(path) == 2]  # noqa: PLR2004
        self._search_field = fields[0] if fields else None

    def verify(self, request: Request, now: datetime) -> Verified:
        """Any `v1` signature by any of the secrets will do, for both exist twice while a secret is rolled."""
        timestamp, signatures = _signature_parts(request.header(SIGNATURE_HEADER))
        check_fresh(timestamp, now)
        signed = timestamp.encode() + b"." + request.body
        for label, keyed in self._keyed:
            mac = keyed.copy()
            mac.update(signed)
            expected = mac.finalize().hex().encode()
            for signature in signatures:
                if compare_digest(expected, signature):
                    return Verified(key=label, content=request.body)
        raise BadSignature("no v1 signature is by any of the webhook_secrets")

    def key_labels(self) -> tuple[str, ...]:
        """One for each secret."""
        return tuple(label for label, _ in self._keyed)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """What a type that TYPES knows says; nothing of others, and nothing of what another account did."""
        event = strictjson.json_of(verified)
        if is_thin(event) or self._whose(event) is not Whose.OURS:
            return ()
        return self._events_in(event)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The object of a thin event, of one whose account is in doubt, or of one that does not tell all."""
        event = strictjson.json_of(verified)
        whose = self._whose(event)
        if whose is Whose.OTHERS:
            return ()
        if is_thin(event):
            self._check_mode(event)
            query = thin_question(event)
        elif text(event, "type") not in TYPES:
            query = None
        elif whose is Whose.DOUBT:
            self._check_mode(event)
            subject = at(event, ["data", "object"])
            query = question_about(text_or_none(subject, "object"), text_or_none(subject, "id"))
        else:
            query = self._doubtful(event)
        return () if query is None else (query,)

    def _doubtful(self, event: object) -> Query | None:
        """What is to be asked besides; nothing where it cannot be, for then what was told must do."""
        kind = text(event, "type")
        if self._api_key is None or kind not in DOUBTFUL:
            return None
        return doubtful(kind, snapshot_of(event, created_of(event)))

    def _whose(self, event: object) -> Whose:
        """Raises BadPayload where nobody can tell, and Stripe cannot be asked."""
        whose = self._owner.whose(text_or_none(event, "account"), text_or_none(event, "context"))
        if whose is Whose.DOUBT and self._api_key is None:
            raise BadPayload("context names an account of an organization: name your own as account_id, or set api_key")
        return whose

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment of an event's object, and the order that its metadata names."""
        try:
            event = strictjson.loads_unsigned(request.body)
            subject = at(event, ["related_object"] if is_thin(event) else ["data", "object"])
            refs = (reference_or_none(at(subject, [name])) for name in ("payment_intent", "id"))
            payment_ref = next((ref for ref in refs if ref is not None and ref.startswith(PAYMENT_PREFIXES)), None)
            order_ref = reference_or_none(self._order_ref(subject))
        except BadPayload:
            return None
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """By the reference's own kind, or by searching for the order's."""
        return self._call(api.path_of(query, self._search_field))

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the object says of itself; of those that a search found, that they are to be asked about."""
        told_at = answered_at(response, now)
        if query.payment_ref is not None and query.payment_ref.startswith(api.SESSION_OF):
            return self._hear_session(query, response, told_at)
        content = api.content_of(response)
        if content is not None and is_thin(content):
            return self._hear_never_made(content)
        found = [] if content is None else api.found_in(query, content)
        if query.about == "payment" and query.payment_ref is None:
            return self._hear_search(query, found)
        events = [event for each in found for event in self._said(query, each, told_at)]
        return Answer(found=bool(found), events=tuple(events), also=tuple(_also(query, events)))

    def _hear_search(self, query: Query, found: list[object]) -> Answer:
        """A search lags behind by a minute and sometimes an hour, so of states it tells only what has a date."""
        ours = [it for it in found if self._order_ref(it) == query.order_ref]
        dated = tuple(
            msgspec.structs.replace(event, as_of=event.occurred_at)
            for each in ours
            for event in self._said(query, each, None)
        )
        also = tuple(msgspec.structs.replace(query, payment_ref=text(it, "id")) for it in ours)
        return Answer(found=bool(ours), events=dated, also=also)

    def _hear_session(self, query: Query, response: Response, told_at: datetime) -> Answer:
        """Whether the intent was paid at a discount.  Nothing else hangs on it: no answer is none."""
        try:
            content = api.content_of(response)
            found = [] if content is None else api.found_in(query, content)
            events = tuple(event for each in found for event in self._said(query, each, told_at))
        except (Unavailable, AccessDenied, BadPayload):
            return Answer(found=False)
        return Answer(found=bool(found), events=tuple(it for it in events if it.discount is not None))

    def _hear_never_made(self, event: object) -> Answer:
        """The object whose event Stripe could not make is asked about in its place."""
        context, query = never_made(event)
        if query is None or self._owner.whose(None, context) is Whose.OTHERS:
            return Answer(found=True)
        return Answer(found=True, also=(query,))

    def events_request(self, *, since: datetime, until: datetime, after: str | None) -> Call:
        """A page of what happened, newest first; Stripe keeps 30 days."""
        return self._call(api.path_of_events(since, until, after))

    def read_events(self, response: Response) -> Page:
        """The events as their webhooks bring them; one that cannot be read hides no other."""
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
        return Page(events=queried_events, after=after, unread=unread)

    def _call(self, path: str) -> Call:
        if self._api_key is None:
            raise CannotQuery("api_key is not set")
        headers = {"Authorization": f"Bearer {self._api_key}", "Stripe-Version": api.API_VERSION}
        headers |= self._owner.headers(organization=self._api_key.startswith(ORGANIZATION_KEYS))
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def _events_in(self, event: object) -> tuple[PaymentEvent, ...]:
        kind = text(event, "type")
        read = TYPES.get(kind)
        if read is None:
            return ()
        self._check_mode(event)
        created = created_of(event)
        snapshot = snapshot_of(event, created)
        if self._api_key is not None and hides_a_tip(kind, snapshot):
            return ()  # its intent is asked about
        made: list[PaymentEvent] = []
        for fact in read(snapshot):
            event_id = f"{text(event, 'id')}:{fact.kind}" if made else text(event, "id")
            it = self._event(snapshot.subject, fact, event_id=event_id, at=created)
            if it is None:
                continue
            if problem := problem_with(it):
                raise BadPayload(problem)
            made.append(it)
        return tuple(made)

    def _said(self, query: Query, subject: object, told_at: datetime | None) -> Iterator[PaymentEvent]:
        """What an object says; where no time is given for what it does not date, only what it dates."""
        if at(subject, ["livemode"]) is not None:  # a refund does not tell
            self._check_mode(subject)
        order_ref = self._order_ref(subject) or query.order_ref
        for said in api.said_by(subject, told_at):
            when = said.at or told_at
            event = None if when is None else self._event(said.subject, said.fact, event_id="", at=when)
            if event is not None:
                yield queried(msgspec.structs.replace(event, order_ref=event.order_ref or order_ref))

    def _check_mode(self, subject: object) -> None:
        """Test money must not pay live orders: the kind of API key tells the mode of this account."""
        if self.live is not None and at(subject, ["livemode"]) is not self.live:
            raise BadPayload(f"livemode is not {self.live}, as the api_key says it is", VerificationStep.MODE)

    def _event(self, subject: object, fact: Fact, *, event_id: str, at: datetime) -> PaymentEvent | None:
        """None where the money is of a currency that nobody knows."""
        currency = text(subject, "currency").upper()
        if not units.is_currency(currency):
            return None
        return PaymentEvent(
            event_id=event_id,
            kind=fact.kind,
            account=self.account,
            occurred_at=at,
            order_ref=self._order_ref(subject),
            payment_ref=fact.payment_ref,
            capture_ref=fact.capture_ref,
            refund_ref=fact.refund_ref,
            dispute_ref=fact.dispute_ref,
            amount=minor_units(fact.amount, currency),
            total=minor_units(fact.total, currency),
            discount=minor_units(fact.discount, currency),
            on_top=minor_units(fact.on_top, currency),
            released=minor_units(fact.released, currency),
            may_be_release=fact.may_be_release,
            currency=currency,
            failure=fact.failure,
            failure_code=fact.failure_code,
            method=method_of(subject) if fact.kind.is_payment else None,
        )

    def _order_ref(self, subject: object) -> str | None:
        for path in self._order_ref_paths:
            if ref := text_or_none(subject, *path):
                return ref
        return None


def _also(query: Query, events: Sequence[PaymentEvent]) -> Iterator[Query]:
    """The session of an intent that brought too little, which alone tells of coupons; the payment of a refund that was
    asked about by itself."""
    ref = query.payment_ref
    if query.about == "refund":
        for event in events if ref is None else ():
            yield Query(about="payment", payment_ref=event.payment_ref)
    elif ref is not None and ref.startswith("pi_") and _may_lack(query.amount_due, events):
        yield Query(about="payment", order_ref=query.order_ref, payment_ref=f"{api.SESSION_OF}{ref}")


def _may_lack(due: int | None, events: Sequence[PaymentEvent]) -> bool:
    """Whether it was paid, and perhaps with less than its order comes to."""
    brought_in = [it.amount or 0 for it in events if it.kind is Kind.PAYMENT_SUCCEEDED]
    return bool(brought_in) and (due is None or sum(brought_in) < due)


def _signature_parts(header: str) -> tuple[str, list[bytes]]:
    """The time and the v1 signatures of `t=1,v1=a,v1=b,v0=c`; other schemes are none of ours."""
    if not header.isascii() or len(header) > SIGNATURE_HEADER_CHARS_MAX:
        raise BadSignature("the signature header is not ASCII or too long", VerificationStep.HEADER)
    times: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "v1":
            signatures.append(value.encode())
        elif name == "t":
            times.append(value)
    if len(times) != 1:
        raise BadSignature("the signature header does not tell one time", VerificationStep.HEADER)
    return times[0], signatures
