"""Holds the ledger of one run: every story, found by each reference that a query may name."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from tillkeeper.sandbox.ledger.payments import EventMeanings, PaymentRecord, RefundRecord, payment_at
from tillkeeper.sandbox.story import Story, StoryEvent

Entry = tuple[datetime, int, Story, StoryEvent]  # the number tells events of one instant apart


class AccountLedger:
    """What the gateway of one account knows.  It is asked for a time, and nothing in here changes with it."""

    def __init__(self, meanings: EventMeanings) -> None:
        self._meanings = meanings
        self._by_order: dict[str, Story] = {}
        self._by_payment: dict[str, Story] = {}
        self._by_refund: dict[str, Story] = {}
        self._entries: list[Entry] = []
        self._sorted = True

    def add(self, story: Story) -> None:
        """Enters a story."""
        self._by_order[story.order_ref] = story
        self._by_payment[story.payment_ref] = story
        for event in story.events:
            self._by_refund[event.refund_ref] = story
            self._entries.append((event.at, len(self._entries), story, event))
        self._sorted = False

    def payment(self, payment_ref: str, at: datetime) -> PaymentRecord | None:
        """Returns the payment of this reference, if there is one by then."""
        return self._known(self._by_payment.get(payment_ref), at)

    def payment_of_order(self, order_ref: str, at: datetime) -> PaymentRecord | None:
        """Returns the payment for this order, if there is one by then."""
        return self._known(self._by_order.get(order_ref), at)

    def payment_of_refund(self, refund_ref: str, at: datetime) -> PaymentRecord | None:
        """Returns the payment with this refund, if there is the refund by then."""
        return self.refund(refund_ref, at)[0]

    def refund(self, refund_ref: str, at: datetime) -> tuple[PaymentRecord, RefundRecord] | tuple[None, None]:
        """Returns the payment with this refund and the refund itself, if there is the refund by then."""
        payment = self._known(self._by_refund.get(refund_ref), at)
        refund = None if payment is None else payment.refund(refund_ref)
        return (None, None) if payment is None or refund is None else (payment, refund)

    def events_between(self, *, since: datetime, until: datetime) -> Iterator[tuple[Story, StoryEvent]]:
        """Yields what happened, newest first, both ends included."""
        self._sort()
        first = bisect_left(self._entries, since, key=lambda entry: entry[0])
        last = bisect_right(self._entries, until, key=lambda entry: entry[0])
        for _, _, story, event in reversed(self._entries[first:last]):
            yield story, event

    def _known(self, story: Story | None, at: datetime) -> PaymentRecord | None:
        return None if story is None else payment_at(story, self._meanings, at)

    def _sort(self) -> None:
        if not self._sorted:
            self._entries.sort(key=lambda entry: entry[:2])
            self._sorted = True


class Ledger:
    """The ledgers of all accounts.  It grows with the stories."""

    def __init__(self, meanings: Mapping[str, EventMeanings], stories: Iterable[Story] = ()) -> None:
        self._accounts = {account: AccountLedger(meant) for account, meant in meanings.items()}
        self.stories: dict[str, Story] = {}  # by order reference
        for story in stories:
            self.add(story)

    def add(self, story: Story) -> None:
        """Enters a story."""
        self.stories[story.order_ref] = story
        self._accounts[story.account].add(story)

    def of(self, account: str) -> AccountLedger:
        """Returns the ledger of one account, which is empty where nothing is told of it."""
        return self._accounts.get(account) or AccountLedger(EventMeanings(states={}))
