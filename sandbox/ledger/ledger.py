"""The ledger of one run: every story that is told, found by each reference that a gateway could be asked with."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from tillkeeper.sandbox.ledger.payments import EventMeanings, PaymentRecord, RefundRecord, payment_at
from tillkeeper.sandbox.story import Story, StoryEvent

Entry = tuple[datetime, int, Story, StoryEvent]  # the number tells events of one instant apart


class Ledger:
    """Grows with the stories.  What a gateway knows is asked for a time, and nothing in here changes with it."""

    def __init__(self, meanings: Mapping[str, EventMeanings], stories: Iterable[Story] = ()) -> None:
        self._meanings = dict(meanings)
        self.stories: dict[str, Story] = {}  # by order reference
        self._payments: dict[tuple[str, str], Story] = {}
        self._refunds: dict[tuple[str, str], Story] = {}
        self._entries: dict[str, list[Entry]] = {account: [] for account in meanings}
        self._sorted = True
        for story in stories:
            self.add(story)

    def add(self, story: Story) -> None:
        """Enters a story."""
        self.stories[story.order_ref] = story
        self._payments[story.account, story.payment_ref] = story
        for event in story.events:
            self._refunds[story.account, event.refund_ref] = story
            entries = self._entries[story.account]
            entries.append((event.at, len(entries), story, event))
        self._sorted = False

    def payment(self, account: str, payment_ref: str, at: datetime) -> PaymentRecord | None:
        """The payment of this reference, if the account has it by then."""
        return self._known(account, self._payments.get((account, payment_ref)), at)

    def payment_of_order(self, account: str, order_ref: str, at: datetime) -> PaymentRecord | None:
        """The payment for this order, if the account has it by then."""
        return self._known(account, self.stories.get(order_ref), at)

    def payment_of_refund(self, account: str, refund_ref: str, at: datetime) -> PaymentRecord | None:
        """The payment with this refund, if the account has the refund by then."""
        found = self._known(account, self._refunds.get((account, refund_ref)), at)
        return found if found is not None and found.refund(refund_ref) is not None else None

    def refund(
        self, account: str, refund_ref: str, at: datetime
    ) -> tuple[PaymentRecord, RefundRecord] | tuple[None, None]:
        """The payment with this refund and the refund itself, if the account has the refund by then."""
        payment = self.payment_of_refund(account, refund_ref, at)
        refund = None if payment is None else payment.refund(refund_ref)
        return (None, None) if payment is None or refund is None else (payment, refund)

    def events_between(self, account: str, *, since: datetime, until: datetime) -> Iterator[tuple[Story, StoryEvent]]:
        """What happened at an account, newest first, both ends included."""
        self._sort()
        entries = self._entries[account]
        first = bisect_left(entries, since, key=lambda it: it[0])
        for _, _, story, event in reversed(entries[first : bisect_right(entries, until, key=lambda it: it[0])]):
            yield story, event

    def _known(self, account: str, story: Story | None, at: datetime) -> PaymentRecord | None:
        if story is None or story.account != account:
            return None
        return payment_at(story, self._meanings[account], at)

    def _sort(self) -> None:
        if not self._sorted:
            for entries in self._entries.values():
                entries.sort(key=lambda it: it[:2])
            self._sorted = True
