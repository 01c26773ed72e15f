"""Implements Razorpay: HMAC over the body; events about payments, orders, refunds and disputes; and what its API
answers.

Sources: the package `razorpay` (`utility/utility.py`) for the signature; razorpay.com/docs, the pages on webhooks
("Payloads", "Best practices", "FAQs").
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, payments_of_refunds
from tillkeeper.gateways.kit.fact import Fact, query_event, webhook_event
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.razorpay import api
from tillkeeper.gateways.razorpay.objects import EVENTS, IGNORED, payment_states, refund_states
from tillkeeper.gateways.razorpay.settings import ABOUT, RazorpaySettings

SIGNATURE_HEADER: Final = "x-razorpay-signature"
LIVE_BY_KEY_PREFIX: Final = {"rzp_live_": True, "rzp_test_": False}
ENTITIES: Final = ("payment", "order", "refund", "dispute")

# What the merchant wrote down at the payment, else at the order; else Razorpay's own order.
ORDER_REF_PATHS: Final = ("payment.notes.order_id", "order.receipt", "order.notes.order_id", "payment.order_id")


class Razorpay(Gateway):
    """One webhook of one merchant, in one mode."""

    name: ClassVar[str] = "razorpay"
    settings: ClassVar[type[AccountModel]] = RazorpaySettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {SIGNATURE_HEADER, "x-razorpay-event-id", "content-type", "user-agent"}
    )

    def __init__(self, account: str, settings: RazorpaySettings) -> None:
        self.account = account
        self._keys = HmacKeys("webhook_secrets", settings.webhook_secrets)
        self.live = LIVE_BY_KEY_PREFIX.get((settings.key_id or "")[:9])
        self._user = None if not (settings.key_id and settings.key_secret) else (settings.key_id, settings.key_secret)
        self._account_id = settings.account_id
        self._payer_bears_fee = settings.payer_bears_fee
        self._api_base = settings.api_base
        paths = ORDER_REF_PATHS if settings.order_ref_path is None else (settings.order_ref_path,)
        self._order_ref_paths = [path.split(".") for path in paths]

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Accepts any of the secrets, for repetitions may be signed with the one before."""
        return Verified(key=self._keys.label_in(request, SIGNATURE_HEADER, request.body), content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """Returns one label for each secret."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns one event for a name that EVENTS knows, none for others."""
        event = strictjson.json_of(verified)
        name = text(event, "event")
        if self._account_id not in {None, text_or_none(event, "account_id")}:
            return ()
        if name not in EVENTS:
            IGNORED.note(name)
            return ()
        entities = {each: at(event, ["payload", each, "entity"]) for each in ENTITIES}
        subject, read = EVENTS[name]
        fact = read(entities, self._payer_bears_fee)
        created = integer(event, "created_at")
        created_at = moment_from_unix(created)
        if fact is None:
            return ()
        fact = msgspec.structs.replace(fact, order_ref=self._order_ref(entities))
        event_id = f"{name}:{text(entities[subject], 'id')}:{created}"
        return (webhook_event(fact, account=self.account, event_id=event_id, reported_at=created_at),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the payment of an event, and the order in its notes or its receipt."""
        try:
            payload = at(strictjson.loads_unsigned(request.body), ["payload"])
            entities = {each: at(payload, [each, "entity"]) for each in ("payment", "order")}
            payment_ref = reference_or_none(at(entities["payment"], ["id"]))
            order_ref = reference_or_none(self._order_ref(entities))
        except BadPayload:
            return None
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches one object by its id, or the payments of an order."""
        path = api.path_of(query)
        if self._user is None:
            raise CannotQuery("key_id and key_secret are not set")
        basic = b64encode(":".join(self._user).encode()).decode()
        return Call(method="GET", url=f"{self._api_base}{path}", headers={"Authorization": f"Basic {basic}"})

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the object, or each payment of the order."""
        content = api.content_of(response)
        reported_at = answered_at(response, now)
        found = [] if content is None else list(api.found_in(query, content))
        facts = [fact for subject in found for fact in self._facts_of(subject, query)]
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=bool(found), events=events, also=payments_of_refunds(query, events))

    def _facts_of(self, subject: object, query: Query) -> Iterator[Fact]:
        """Yields the facts of an object that was found, with its order."""
        order_ref = self._order_ref_of(query, subject)
        is_refund = query.about == "refund"
        facts = refund_states(subject) if is_refund else payment_states(subject, payer_bears_fee=self._payer_bears_fee)
        for fact in facts:
            yield msgspec.structs.replace(fact, order_ref=order_ref)

    def _order_ref_of(self, query: Query, subject: object) -> str | None:
        """Returns the order of an object that was found; a query by an order's reference finds that order's."""
        entities: Mapping[str, object] = {query.about: subject}
        own_ref = self._order_ref(entities)
        if query.about == "payment" and query.payment_ref is None:
            return query.order_ref
        return self._merchants_ref(entities) or query.order_ref or own_ref

    def _order_ref(self, entities: Mapping[str, object]) -> str | None:
        return next((ref for path in self._order_ref_paths if (ref := _noted(entities, path))), None)

    def _merchants_ref(self, entities: Mapping[str, object]) -> str | None:
        """Returns the reference that the merchant chose, if there is one."""
        paths = [path for path in self._order_ref_paths if path != ["payment", "order_id"]]
        return next((ref for path in paths if (ref := _noted(entities, path))), None)


def _noted(entities: Mapping[str, object], path: Sequence[str]) -> str | None:
    """Returns the text at a path, a whole number as text; notes are an empty list where there are none."""
    value: object = entities
    for name in path:
        value = at(None if value == [] else value, [name])
    return str(value) if type(value) is int else text_or_none({"ref": value}, "ref")
