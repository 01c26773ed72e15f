"""Verifies and reads GoCardless's webhooks: lists of events, of which a few say all and the others cause queries."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.gocardless.api import ID, list_at
from tillkeeper.gateways.gocardless.objects import IGNORED, NEEDS_QUERY, REFUND_ACTIONS, entry_of
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import ClaimedReferences, Query

EVENTS_MAX: Final = 1000  # GoCardless sends at most 250, and lists at most 500


class WebhookReader:
    """Reads the deliveries of one account; events of other organisations change nothing."""

    def __init__(self, account: str, order_ref_path: Sequence[str], organisation: str | None) -> None:
        self._account = account
        self._organisation = organisation
        first, *rest = order_ref_path
        # Events carry the payment's metadata under another name.
        self._order_ref_path = ["resource_metadata", *rest] if first == "metadata" and rest else None

    def events_in(self, body: bytes) -> tuple[PaymentEvent, ...]:
        """Returns the events that say all by themselves, each id once.  Raises BadPayload."""
        events = {}
        for content in self._ours(body):
            fact = self._fact_of(content)
            if fact is not None:
                event = webhook_event(
                    fact,
                    account=self._account,
                    event_id=text(content, "id"),
                    reported_at=moment_from_rfc3339(text(content, "created_at")),
                )
                events[event.event_id] = event
        return tuple(events.values())

    def queries_for(self, body: bytes) -> tuple[Query, ...]:
        """One query for each payment and each refund that other events are about.  Raises BadPayload."""
        queries = (self._query_for(content) for content in self._ours(body))
        return tuple(dict.fromkeys(query for query in queries if query is not None))

    def _ours(self, body: bytes) -> list[object]:
        events = list_at(strictjson.loads(body), "events")
        if len(events) > EVENTS_MAX:
            raise BadPayload(f"the delivery has more than {EVENTS_MAX} events")
        if self._organisation is None:
            return events
        return [event for event in events if text_or_none(event, "links", "organisation") in {None, self._organisation}]

    def _fact_of(self, event: object) -> Fact | None:
        """Returns what an event says that needs no query; None for all others."""
        order_ref = self._order_ref_of(event)
        entry = None if order_ref is None else entry_of(event)
        if entry is None:
            return None
        scheme = text_or_none(event, "details", "scheme")
        method = scheme if entry.fact.kind.is_payment else None
        return msgspec.structs.replace(entry.fact, order_ref=order_ref, method=method)

    def _order_ref_of(self, event: object) -> str | None:
        """Returns the order of an event about a payment that needs no query; None for all others."""
        if self._order_ref_path is None or text(event, "resource_type") != "payments":
            return None
        return None if text(event, "action") in NEEDS_QUERY else text_or_none(event, *self._order_ref_path)

    def _query_for(self, event: object) -> Query | None:
        match text(event, "resource_type"):
            case "payments" if self._order_ref_of(event) is None and entry_of(event) is not None:
                return Query(about="payment", payment_ref=_linked_id(event, "payment"))
            case "refunds":
                if text(event, "action") not in REFUND_ACTIONS:
                    unknown_word("action of a refund", text(event, "action"))
                return Query(about="refund", refund_ref=_linked_id(event, "refund"))
            case resource_type:
                if resource_type != "payments":
                    IGNORED.note(resource_type)
                return None


def claimed_references(body: bytes) -> ClaimedReferences | None:
    """Returns the first payment that any event of an unverified delivery is about, if there is one."""
    try:
        for event in list_at(strictjson.loads_unsigned(body), "events"):
            if ref := reference_or_none(at(event, ["links", "payment"])):
                return ClaimedReferences(payment_ref=ref)
    except BadPayload:
        pass
    return None


def _linked_id(event: object, name: str) -> str:
    """Returns the id of what an event is about; it goes into the path of a query."""
    ref = text(event, "links", name)
    if not ID.fullmatch(ref):
        raise BadPayload(f"links.{name} is not one of GoCardless's ids")
    return ref
