"""Implements Paystack: HMAC-SHA512 of the body with the API's secret key; transactions, refunds, disputes; what its API
answers.

A refund is known by its number.  Its webhooks need not tell that, and what they tell instead the API does not: under
either name it would count twice, so that such a webhook only has the refunds of its transaction listed.

Checked against documents only, for no official package verifies its webhooks.
Sources: Paystack's pages "Webhooks", "Verify payments", "Refunds" and "Disputes"; its API reference.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import Fact, query_event, webhook_event
from tillkeeper.gateways.kit.fields import (
    at,
    number,
    number_or_none,
    reference_or_none,
    text,
    text_or_none,
    written_or_none,
)
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.paystack import api
from tillkeeper.gateways.paystack.objects import (
    EVENTS,
    IGNORED,
    REFUND,
    UNDATED,
    refund_fact,
    transaction_facts,
)
from tillkeeper.gateways.paystack.settings import ABOUT, LIVE_BY_KEY_PREFIX, PaystackSettings

SIGNATURE_HEADER: Final = "x-paystack-signature"
DOMAINS: Final[Mapping[str, bool]] = {"live": True, "test": False}

# Where an order's reference stands in a transaction.
ORDER_REF_PATHS: Final = ("metadata.order_id", "reference")


class Paystack(Gateway):
    """One integration at Paystack, in live or in test mode."""

    name: ClassVar[str] = "paystack"
    settings: ClassVar[type[AccountModel]] = PaystackSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: PaystackSettings) -> None:
        self.account = account
        self.live = LIVE_BY_KEY_PREFIX.get(settings.secret_keys[0][:8])
        self._keys = HmacKeys("secret_keys", settings.secret_keys, digest="sha512")
        self._api_key = settings.secret_keys[0]
        self._api_base = settings.api_base
        self._finds_orders = settings.order_ref_path in {None, "reference"}
        paths = ORDER_REF_PATHS if settings.order_ref_path is None else (settings.order_ref_path,)
        self._order_ref_paths = [path.split(".") for path in paths]

    def key_labels(self) -> tuple[str, ...]:
        """Returns one label for each secret key."""
        return self._keys.labels

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Accepts a signature by any of the secret keys."""
        label = self._keys.label_in(request, SIGNATURE_HEADER, request.body)
        return Verified(key=label, content=request.body)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns one event for a name that EVENTS knows, none for others."""
        delivery = strictjson.json_of(verified)
        name = text(delivery, "event")
        if name not in EVENTS:
            IGNORED.note(name)
            return ()
        subject, data = EVENTS[name], at(delivery, ["data"])
        self._check_mode(data)
        fact = subject.read(data)
        if fact is None:
            return ()
        order_ref = None if subject.transaction is None else self._order_ref(at(data, subject.transaction))
        fact = msgspec.structs.replace(fact, order_ref=order_ref)
        event_id = f"{name}:{number(data, 'id')}"
        return (webhook_event(fact, account=self.account, event_id=event_id, reported_at=UNDATED),)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Queries the refunds of a transaction, where a webhook about one does not tell its number."""
        delivery = strictjson.json_of(verified)
        data = at(delivery, ["data"])
        if EVENTS.get(text(delivery, "event")) is not REFUND or number_or_none(data, "id") is not None:
            return ()
        payment_ref = text(data, "transaction_reference")
        return (Query(about="refund", payment_ref=payment_ref, refund_ref=api.EVERY_REFUND),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the transaction that a delivery is about."""
        try:
            data = at(strictjson.loads_unsigned(request.body), ["data"])
            values = (at(data, [name]) for name in ("reference", "transaction_reference"))
            payment_ref = next((ref for value in values if (ref := reference_or_none(value))), None)
            order_ref = reference_or_none(self._order_ref(data))
        except BadPayload:
            return None
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches a transaction by its own or its order's reference; a refund by its number, or all of a payment."""
        path = api.path_of(query, finds_orders=self._finds_orders)
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._api_key}"}
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the transaction, or the refunds."""
        data = api.data_of(response)
        if data is None:
            return Answer(found=False)
        if query.about == "refund":
            return self._answer_of_refunds(query, api.refunds_in(query, data))
        ref = text(data, "reference") if query.payment_ref else self._order_ref(data)
        if ref != (query.payment_ref or query.order_ref):
            raise BadPayload("the response is about another transaction than the query")
        self._check_mode(data)
        reported_at, order_ref = answered_at(response, now), self._order_ref(data)
        facts = (msgspec.structs.replace(fact, order_ref=order_ref) for fact in transaction_facts(data, reported_at))
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=True, events=events)

    def _answer_of_refunds(self, query: Query, refunds: list[object]) -> Answer:
        facts = [fact for refund in refunds if (fact := self._refund_fact(query, refund)) is not None]
        events = tuple(query_event(fact, account=self.account, reported_at=UNDATED) for fact in facts)
        return Answer(found=bool(refunds), events=events)

    def _refund_fact(self, query: Query, refund: object) -> Fact | None:
        """Reads one refund.  In a list each must say itself whose it is, lest it be of all transactions.

        It is as undated as its webhooks, or none of those would ever count again.
        """
        self._check_mode(refund)
        fact = refund_fact(refund)
        transaction = at(refund, ["transaction"])  # the number alone, or the whole of it
        transaction = transaction if isinstance(transaction, dict) else None
        payment_ref = text_or_none(refund, "transaction_reference") or text_or_none(transaction, "reference")
        _check_is_asked_about(query, refund, payment_ref)
        return fact and msgspec.structs.replace(
            fact,
            order_ref=query.order_ref or self._order_ref(transaction),
            payment_ref=payment_ref or query.payment_ref,
            as_of=UNDATED,
        )

    def _order_ref(self, transaction: object) -> str | None:
        return next((ref for path in self._order_ref_paths if (ref := _text_below(transaction, path))), None)

    def _check_mode(self, subject: object) -> None:
        """Refuses the other mode, lest test money pay live orders: the prefix of the secret key tells the account's."""
        domain = text_or_none(subject, "domain")
        if self.live is not None and domain is not None and DOMAINS.get(domain) is not self.live:
            raise BadPayload(f"domain is {domain!r}, and the secret key of the other mode", VerificationStep.MODE)


def _check_is_asked_about(query: Query, refund: object, payment_ref: str | None) -> None:
    refund_ref = number(refund, "id")
    is_any = query.refund_ref == api.EVERY_REFUND
    if (payment_ref != query.payment_ref) if is_any else (refund_ref != query.refund_ref):
        raise BadPayload("the response is about another refund than the query")


def _text_below(content: object, path: list[str]) -> str | None:
    """Returns the text or whole number at a path.

    What a merchant did not set Paystack writes as "", 0 or null.
    """
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return written_or_none(content)
