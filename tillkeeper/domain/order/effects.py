"""Says what an act would do, from the changes that it was decided to be: what a dry run shows."""

from datetime import datetime

import msgspec

from tillkeeper.domain.order.changes import Changes


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the order, who is told, and which cases open and close."""

    held_until: datetime | None = None  # if it is put on hold
    is_released: bool = False
    is_closed: bool = False
    is_asked: bool = False
    told: tuple[tuple[str, str], ...] = ()  # (audience, topic)
    opened: tuple[str, ...] = ()  # kinds of cases
    closed: tuple[str, ...] = ()


def effects_of(changes: Changes) -> Effects:
    """Returns what these changes do."""
    before, after, cases = changes.before, changes.after, changes.decided_cases
    is_held_anew = after.held_until != before.held_until
    return Effects(
        held_until=after.held_until if is_held_anew else None,
        is_released=is_held_anew and after.held_until is None,
        is_closed=changes.has_closed,
        is_asked=after.ask_at is not None and after.ask_at != before.ask_at,
        told=tuple((notice.audience.value, notice.topic) for notice in changes.notices),
        opened=tuple(sorted(kind for kind, _ in cases.opened)) if cases is not None else (),
        closed=tuple(sorted(kind for kind, _ in cases.closed)) if cases is not None else (),
    )
