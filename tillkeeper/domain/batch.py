"""Sorts a batch of events before they are applied: new, known, or waiting ones.

    known under its id, with the same meaning       ──> a duplicate; an answer stands as of its later moment
    known under its id, with another meaning        ──> both were signed, so both count, with a case
    known, and without an order so far              ──> it waited, and its order is known by now
    not known                                       ──> new

The order of a batch is the order of its list: the same event twice is new once, and a duplicate the second time.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason, event_subject
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.facts import OrderFacts
from tillkeeper.domain.order.receiving import Arrival, Outcome, receive
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.references import Bindings, Reference, object_references_of

_encode = msgspec.msgpack.Encoder().encode

DeliveryKey = tuple[UUID, int]
EventKey = tuple[str, str]  # (account, event id)


class BatchItem(Arrival, kw_only=True, gc=False):
    """An event of a batch; `waited` means that its row is in the inbox already, without an order."""

    delivery: DeliveryKey | None = None
    waited: bool = False
    order_id: int | None = None
    fingerprint: bytes | None = None  # once asked for

    @property
    def digest(self) -> bytes:
        """Returns the fingerprint of what its event means."""
        if self.fingerprint is None:
            self.fingerprint = digest_of(self.event)
        return self.fingerprint

    @property
    def key(self) -> EventKey:
        """Returns the account and id that name its event."""
        return self.event.account, self.event.event_id


class KnownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored under an event's id: its inbox row, an open parked row, or both."""

    digest: bytes | None
    waits: bool
    parked_id: int | None
    known_at: datetime | None = None  # the latest moment for which it was reported


class Batch(msgspec.Struct, kw_only=True):
    """The sorted events of a batch, before they are applied to their orders."""

    new: list[BatchItem] = msgspec.field(default_factory=list)
    waited: list[BatchItem] = msgspec.field(default_factory=list)
    duplicates: Counter[DeliveryKey] = msgspec.field(default_factory=Counter)
    superseded: list[int] = msgspec.field(default_factory=list)  # parked rows
    repeated: list[BatchItem] = msgspec.field(default_factory=list)  # known, and reported again for a later moment
    arrivals: list[BatchItem] = msgspec.field(default_factory=list)  # of all these, those that orders receive, in order

    def by_order(self) -> Mapping[int, list[BatchItem]]:
        """Returns the events of each order, in turn.  An event without an order waits for one."""
        found = defaultdict[int, list[BatchItem]](list)
        for item in self.arrivals:
            if item.order_id is not None:
                found[item.order_id].append(item)
            elif not item.repeats:
                item.outcome = Outcome.WAITING
        return found


def digest_of(event: PaymentEvent) -> bytes:
    """Returns a fingerprint of what an event means, whatever brought it.

    Its time, and why and how something failed or was paid, are left out: some gateways sign neither, and write them
    otherwise when they repeat a delivery (Adyen's eventDate and reason).  A repetition changes nothing either way.
    """
    meaning = (
        event.kind,
        event.order_ref,
        event.payment_ref,
        event.capture_ref,
        event.refund_ref,
        event.dispute_ref,
        event.amount,
        event.total,
        event.currency,
        *(() if event.discount is None else (event.discount,)),
        *(() if event.on_top is None else ("on top", event.on_top)),
    )
    return hashlib.blake2b(_encode(meaning), digest_size=16).digest()


def find_orders(items: Sequence[BatchItem], bindings: Bindings) -> list[BatchItem]:
    """Assigns items to orders, and repeats that while one event's references help another; returns those without."""
    alone = list(items)
    while True:
        still: list[BatchItem] = []
        for item in alone:
            item.order_id = bindings.order_of(item.event)
            if item.order_id is None:
                still.append(item)
        if len(still) in (0, len(alone)):
            return still
        alone = still


def erased_among(items: Iterable[BatchItem], orders: Mapping[int, OrderState]) -> set[DeliveryKey]:
    """Returns the deliveries of events whose payer's data was erased: what they hold of it is not kept again."""
    erased = {order.id for order in orders.values() if order.is_erased}
    if not erased:
        return set()
    return {item.delivery for item in items if item.order_id in erased and item.delivery is not None}


def ambiguous_in(items: Iterable[BatchItem], bindings: Bindings) -> set[Reference]:
    """Returns the objects of events whose references lead to more than one order."""
    return {
        reference
        for item in items
        if bindings.leads_elsewhere(item.event)
        for reference in object_references_of(item.event)
    }


def give_ids_of_their_own(
    items: Sequence[BatchItem], known: Mapping[int, KnownEvent]
) -> tuple[list[int], list[tuple[BatchItem, CaseReason]]]:
    """Gives events that differ from the known ones under the same ids new ids, and a case each.

    Returns their positions, where `known` no longer applies.  Which of the two came first does not matter.
    """
    first: dict[EventKey, bytes] = {}
    positions, reused = list[int](), list[tuple[BatchItem, CaseReason]]()
    for position, item in enumerate(items):
        row = known.get(position)
        before = first.setdefault(item.key, row.digest if row and row.digest else item.digest)
        if before != item.digest and item.delivery:  # we make the ids of answers from their content
            reused.append((item, _reused(item)))
            event_id = f"{item.event.event_id}~{item.digest.hex()[:16]}"
            item.event = msgspec.structs.replace(item.event, event_id=event_id)
            positions.append(position)
    return positions, reused


def _reused(item: BatchItem) -> CaseReason:
    return CaseReason(
        kind=CaseKind.EVENT_ID_REUSED,
        subject=event_subject(item.event.account, item.event.event_id),
        account=item.event.account,
        details={"now_says": item.event.kind, "delivery": list(map(str, item.delivery or ()))},
    )


def sort_out(items: Sequence[BatchItem], waited: Sequence[BatchItem], known: Mapping[int, KnownEvent]) -> Batch:
    """Says of each event of a batch whether it is new, known or waited; `known` is by position in `items`."""
    batch = Batch(waited=list(waited), arrivals=list(waited))
    seen, taken_up = set[EventKey](), {item.key for item in waited}
    for position, item in enumerate(items):
        row = known.get(position)
        if item.key not in seen and (row is None or row.digest is None):
            seen.add(item.key)
            batch.new.append(item)
            batch.arrivals.append(item)
            batch.superseded += [row.parked_id] if row and row.parked_id is not None else []
            continue
        _sort_known(batch, item, row)
        if row and row.waits and item.order_id is not None and not item.placed and item.key not in taken_up:
            taken_up.add(item.key)
            batch.waited.append(item)
            batch.arrivals.append(item)
    return batch


def _sort_known(batch: Batch, item: BatchItem, row: KnownEvent | None) -> None:
    """Counts a duplicate; an answer that repeats what is known confirms it as of its later moment."""
    if item.delivery:
        batch.duplicates[item.delivery] += 1
    elif row and row.known_at is not None and row.known_at < item.event.known_at:
        repeated = msgspec.structs.replace(item, repeats=True)
        batch.repeated.append(repeated)
        batch.arrivals.append(repeated)


def hand_over(
    batch: Batch,
    orders: Mapping[int, OrderState],
    *,
    placed_facts: Mapping[int, OrderFacts],
    found: Iterable[tuple[int | None, CaseReason]],
    policy: Policy,
    now: datetime,
) -> list[Changes]:
    """Applies each order's events, and returns the changes.

    `placed_facts` are the facts of orders whose ambiguous payments are placed anew, and `found` the reasons for cases
    that the batch found besides, each with its order.
    """
    arrivals, reasons = batch.by_order(), defaultdict[int | None, list[CaseReason]](list)
    for order_id, reason in found:
        reasons[order_id].append(reason)
    return [
        receive(
            order,
            arrivals.get(order_id, ()),
            policy=policy,
            now=now,
            placed_facts=placed_facts.get(order_id),
            found=reasons.get(order_id, ()),
        )
        for order_id, order in orders.items()
    ]
