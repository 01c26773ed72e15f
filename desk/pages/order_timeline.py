"""Makes the lines of an order's history for its page: what happened, and why it did or did not change something."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.explaining import Explanation, NoChange, Told, why_no_change
from tillkeeper.domain.statuses import Status
from tillkeeper.store.reports.whole_order import TimelineEntry

COUNTED: Final = frozenset({"applied", "no_change"})
KINDS: Final = frozenset(Kind)  # a later version may have others


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An entry; of an event that changed nothing, why, and the earlier entry that this rests on."""

    entry: TimelineEntry
    has_new_status: bool = False  # the order's status is another since this event
    explanation: Explanation | None = None
    rests_on: TimelineEntry | None = None


def lines_of(timeline: Sequence[TimelineEntry]) -> list[Line]:
    """Returns a line for each entry.  The timeline begins with the latest."""
    return [_line(entry, timeline[place + 1 :]) for place, entry in enumerate(timeline)]


def _line(entry: TimelineEntry, earlier: Sequence[TimelineEntry]) -> Line:
    if not _counts(entry):
        return Line(entry=entry)
    counted = [told for told in earlier if _counts(told)]
    explanation = why_no_change(_told(entry), [_told(told) for told in counted])
    # What a success absorbs is kept, and so applied; what else is applied needs no explanation.
    if entry.outcome == "applied" and explanation.why is not NoChange.SUCCESS_STANDS:
        before = next((told.status_after for told in counted), Status.UNPAID)
        return Line(entry=entry, has_new_status=entry.status_after != before)
    return Line(
        entry=entry,
        explanation=explanation,
        rests_on=None if explanation.by is None else counted[explanation.by],
    )


def _counts(entry: TimelineEntry) -> bool:
    """Returns whether the entry is an event that was applied, of a kind that this version can explain."""
    return entry.what == "event" and entry.outcome in COUNTED and entry.kind in KINDS


def _told(entry: TimelineEntry) -> Told:
    kind = Kind(entry.kind)
    ref = {"payment": entry.payment_ref, "refund": entry.refund_ref, "dispute": entry.dispute_ref}
    return Told(
        kind=kind,
        account=entry.account or "",
        ref=ref[kind.partition(".")[0]],
        capture_ref=entry.capture_ref,
        occurred_at=entry.occurred_at,
    )
