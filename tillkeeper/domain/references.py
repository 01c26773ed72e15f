"""Finds the order of an event by its references: a known payment, refund or dispute, else the order reference."""

import msgspec

from tillkeeper.domain.events import PaymentEvent

Reference = tuple[str, ...]  # ("order", order_ref), or ("payment" | "refund" | "dispute", account, reference)


def references_of(event: PaymentEvent) -> list[Reference]:
    """Returns all that an event names; an event without an order waits under each."""
    found = object_references_of(event)
    if event.order_ref is not None:
        found.append(("order", event.order_ref))
    return found


def object_references_of(event: PaymentEvent) -> list[Reference]:
    """Returns the gateway's own objects that an event names, the one that decides first."""
    found = list[Reference]()
    if event.payment_ref is not None:
        found.append(("payment", event.account, event.payment_ref))
    if event.refund_ref is not None:
        found.append(("refund", event.account, event.refund_ref))
    if event.dispute_ref is not None:
        found.append(("dispute", event.account, event.dispute_ref))
    return found


class Bindings(msgspec.Struct, kw_only=True):
    """References that are known to lead to an order, by the order's id."""

    known: dict[Reference, int] = msgspec.field(default_factory=dict)
    new_objects: set[Reference] = msgspec.field(default_factory=set)  # bound here, not yet in the database

    def order_of(self, event: PaymentEvent) -> int | None:
        """Returns the order that an event belongs to, and remembers its objects for events that name only those."""
        known, objects, order_id = self.known, object_references_of(event), None
        for reference in objects:
            order_id = known.get(reference)
            if order_id is not None:
                break
        if order_id is None and event.order_ref is not None:
            order_id = known.get(("order", event.order_ref))
        if order_id is None:
            return None
        for reference in objects:
            if reference not in known:
                known[reference] = order_id
                self.new_objects.add(reference)
        return order_id

    def leads_elsewhere(self, event: PaymentEvent) -> bool:
        """Returns True if an event's references lead to different orders, or to one while it names another."""
        known = self.known
        named = None if event.order_ref is None else known.get(("order", event.order_ref))
        first = named
        for reference in object_references_of(event):
            order_id = known.get(reference)
            if order_id is None or order_id == first:
                continue
            if first is not None or event.order_ref is not None:
                return True
            first = order_id
        return False
