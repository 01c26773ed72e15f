"""Logs what the sandbox posted and how it was answered, so that results are checked against this and never against
Tillkeeper's own records."""

from array import array
from collections import Counter, deque
from typing import Final

import msgspec

from tillkeeper.sandbox.story import PlayedOrder, Story

EXAMPLES_MAX: Final = 10
MARKS_MAX: Final = 20_000  # of the last minutes, to read a lag from


class PostCounts(msgspec.Struct, kw_only=True):
    """One account's posts by their answers.  Forged ones are counted apart."""

    posted: int = 0
    accepted: int = 0  # with 2xx, repetitions included
    again: int = 0  # accepted before already
    unanswered: int = 0  # 5xx or nothing: posted again until it is accepted
    refused: int = 0  # genuine, and refused all the same
    forged: int = 0
    forged_refused: int = 0
    forged_accepted: int = 0
    invented: int = 0  # where nothing is signed: accepted, for its gateway will be asked, and must change nothing


class PostingLog:
    """Grows while the sandbox plays."""

    def __init__(self, accounts: list[str]) -> None:
        self.counts = {account: PostCounts() for account in accounts}
        self.orders: dict[str, PlayedOrder] = {}
        self.unregistered: set[str] = set()  # opened, but their registration was never confirmed
        self.accept_s = array("d")
        self.surprises: list[str] = []  # the first answers that should not have been given
        self.tricks: Counter[str] = Counter()
        self._accepted = 0
        self._known: set[tuple[str, str]] = set()  # accepted deliveries by account and id
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS_MAX)

    @property
    def accepted(self) -> int:
        """All 2xx so far."""
        return self._accepted

    @property
    def posted(self) -> int:
        """All posts so far, forged ones included."""
        return sum(count.posted + count.forged + count.invented for count in self.counts.values())

    def opened(self, story: Story, *, history_event_ids: frozenset[str]) -> None:
        """An order is about to be played; `history_event_ids` are the ids of the events that webhooks bring."""
        due = frozenset(event.event_id for event in story.events)
        self.orders[story.order_ref] = PlayedOrder(
            name=story.name, expected=story.expected, due=due, history_event_ids=history_event_ids
        )
        self.unregistered.add(story.order_ref)

    def registered(self, order_ref: str) -> None:
        """Its registration was confirmed."""
        self.unregistered.discard(order_ref)

    def accepted_delivery(self, account: str, event_id: str, *, took_s: float, at_s: float) -> None:
        """2xx for a genuine delivery."""
        counts = self.counts[account]
        counts.accepted += 1
        counts.again += (account, event_id) in self._known
        self._known.add((account, event_id))
        self._mark(took_s, at_s)

    def accepted_invention(self, account: str, *, took_s: float, at_s: float) -> None:
        """2xx for a delivery that somebody made up, where nobody can tell: the workers take it up as any other."""
        self.counts[account].invented += 1
        self._mark(took_s, at_s)

    def _mark(self, took_s: float, at_s: float) -> None:
        self._accepted += 1
        self._marks.append((at_s, self._accepted))
        self.accept_s.append(took_s)

    def surprised(self, surprise: str) -> None:
        """An answer that should not have been given."""
        if len(self.surprises) < EXAMPLES_MAX:
            self.surprises.append(surprise)

    def undelivered(self) -> int:
        """Deliveries that were never accepted."""
        known = {event_id for _, event_id in self._known}
        return sum(len(order.due - known) for order in self.orders.values())

    def lag_s(self, applied: int, *, now_s: float) -> float:
        """Returns how long ago that was accepted which is next to be applied."""
        while self._marks and self._marks[0][1] <= applied:
            self._marks.popleft()
        return now_s - self._marks[0][0] if self._marks else 0.0
