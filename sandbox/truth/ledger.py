"""The ledger of one run: every story that is told, found by each reference that a gateway could be asked with."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from sandbox.story import Happening, Story
from sandbox.truth.books import Known, known

Told = tuple[datetime, int, Story, Happening]  # the number tells happenings of one instant apart


class Ledger:
    """Grows with the stories.  What a gateway knows is asked for a time, and nothing in here changes with it."""

    def __init__(self, gateways: Mapping[str, str], stories: Iterable[Story] = ()) -> None:
        self._gateways = dict(gateways)
        self.stories: dict[str, Story] = {}  # by order reference
        self._payments: dict[tuple[str, str], Story] = {}
        self._refunds: dict[tuple[str, str], Story] = {}
        self._told: dict[str, list[Told]] = {account: [] for account in gateways}
        self._sorted = True
        for story in stories:
            self.add(story)

    def add(self, story: Story) -> None:
        """Enters a story."""
        self.stories[story.order_ref] = story
        self._payments[story.account, story.payment_ref] = story
        for happening in story.happenings:
            self._refunds[story.account, happening.refund_ref] = story
            told = self._told[story.account]
            told.append((happening.at, len(told), story, happening))
        self._sorted = False

    def payment(self, account: str, payment_ref: str, at: datetime) -> Known | None:
        """The payment of this reference, if the account has it by then."""
        return self._known(account, self._payments.get((account, payment_ref)), at)

    def payments_of_order(self, account: str, order_ref: str, at: datetime) -> Known | None:
        """The payment for this order, if the account has it by then."""
        return self._known(account, self.stories.get(order_ref), at)

    def payment_of_refund(self, account: str, refund_ref: str, at: datetime) -> Known | None:
        """The payment with this refund, if the account has the refund by then."""
        found = self._known(account, self._refunds.get((account, refund_ref)), at)
        return found if found is not None and found.refund(refund_ref) is not None else None

    def told(self, account: str, *, since: datetime, until: datetime) -> Iterator[tuple[Story, Happening]]:
        """What happened at an account, newest first, both ends included."""
        self._sort()
        told = self._told[account]
        first = bisect_left(told, since, key=lambda it: it[0])
        for _, _, story, happening in reversed(told[first : bisect_right(told, until, key=lambda it: it[0])]):
            yield story, happening

    def _known(self, account: str, story: Story | None, at: datetime) -> Known | None:
        if story is None or story.account != account:
            return None
        return known(story, self._gateways[account], at)

    def _sort(self) -> None:
        if not self._sorted:
            for told in self._told.values():
                told.sort(key=lambda it: it[:2])
            self._sorted = True
