"""Judges the orders of `stuck-at-gateway` by the policy and the scenario's schedule, order by order.

The expected steps are compared with the gateways' log of queries, and with the steps and notices in the database.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tillkeeper.domain.ladder import Action, Anchor
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.sandbox.apis.query_log import LoggedQuery
from tillkeeper.sandbox.scenarios.asking_to_pay import asked_wrongly
from tillkeeper.sandbox.scenarios.run import (
    BEGINS_AT,
    SimulatedGateways,
)
from tillkeeper.sandbox.scenarios.simulation import STEP
from tillkeeper.sandbox.story import Story
from tillkeeper.store.reports.overview import OrderStanding
from tillkeeper.store.reports.recorded import RecordedCase, RecordedNotice, TakenStep

ENDS_AT: Final = BEGINS_AT + timedelta(days=4, hours=6)
BROKEN_ACCOUNT: Final = "wechatpay-main"
BROKEN_SINCE: Final = BEGINS_AT + timedelta(hours=2)
BROKEN_UNTIL: Final = BEGINS_AT + timedelta(hours=26)
EXPIRES_AFTER: Final = timedelta(hours=2)
LATE_MAX: Final = 2 * STEP  # a moment is met within a step, and a step may begin one step late
# An order that could not be asked about is known to be under way once its query is put again, in 15 minutes at most.
FOUND_AGAIN: Final = timedelta(minutes=15) + LATE_MAX
CAUGHT_UP: Final = timedelta(minutes=1)  # the backfill has open orders queried once their gateway answers again
CONCLUDED: Final = frozenset({"payer.failed", "payer.expired", "payer.paid", "payer.reminder", "order.closed"})


class Judge:
    """Holds what was done against what the policy says, order by order."""

    def __init__(
        self,
        simulated: SimulatedGateways,
        policy: Policy,
        known_at: Mapping[str, datetime | None],
        *,
        stand: Mapping[str, OrderStanding],
        taken: Sequence[TakenStep],
        cases: Sequence[RecordedCase],
        notices: Sequence[RecordedNotice],
    ) -> None:
        self._simulated = simulated
        self._policy = policy
        self._known_at = known_at
        self._stand = stand
        self.taken = taken
        self.cases = cases
        self.notices = notices
        self.latest = timedelta(0)
        self._asked = defaultdict[str, list[LoggedQuery]](list)
        for query in simulated.log.queries:
            if query.fault is None:
                self._asked[query.order_ref].append(query)
        self._cases = _by_order(cases)
        self._notices = _by_order(notices)

    def was_in_doubt(self, story: Story) -> bool:
        """Returns whether nothing was known of it while its closing came due."""
        return (
            story.account == BROKEN_ACCOUNT
            and story.started_at + timedelta(minutes=3) >= BROKEN_SINCE
            and story.started_at + EXPIRES_AFTER < BROKEN_UNTIL
        )

    def wrong(self) -> Iterator[str]:
        """Yields everything that is not as it should be."""
        for story in self._simulated.stories:
            for wrong in self._wrong_with(story):
                yield f"{story.order_ref} ({story.name}): {wrong}"
        yield from asked_wrongly(self._simulated.stories, self._simulated.ledger, self.notices)
        told = Counter(notice.topic for notice in self.notices)
        if not any(query.fault is not None for query in self._simulated.log.queries):
            return  # nobody was asked in that time
        for topic in ("account.unanswering", "account.answering"):
            if told[topic] != 1:
                yield f"{topic} was told {told[topic]} times, and once is right"

    def _wrong_with(self, story: Story) -> Iterator[str]:
        stand = self._stand.get(story.order_ref)
        if stand != OrderStanding(status=Status.PROCESSING, paid=0, refunded=0):
            yield f"it stands as {stand}"
        since = self._under_way_since(story)
        if since is None:
            yield "nobody ever learned that it is under way"
            return
        yield from self._questions(story, since)
        yield from self._stuck_case(story, since)
        yield from self._payer_told(story, since)
        if self.was_in_doubt(story):
            yield from self._doubt(story)

    def _under_way_since(self, story: Story) -> datetime | None:
        """Returns when Tillkeeper learned of it: by a webhook, or by the first answer."""
        arrived = self._known_at[story.order_ref]
        if arrived is not None:
            return arrived
        return next((query.at for query in self._asked[story.order_ref]), None)

    def _questions(self, story: Story, since: datetime) -> Iterator[str]:
        # The one that found it, and those before, were by the ladder of unpaid orders.
        put = [query for query in self._asked[story.order_ref] if query.at > since]
        by_name = {query.at for query in put if query.ref != query.order_ref}
        # The search for further payments of the order belongs to the query about the one that is known.
        asked = [query.at for query in put if query.ref != query.order_ref or query.at not in by_name]
        yield from self._met("asked", self._moments(story, Action.QUERY, since), asked, story)

    def _stuck_case(self, story: Story, since: datetime) -> Iterator[str]:
        found = [case for case in self._cases[story.order_ref] if case.kind == "stuck"]
        if len(found) != 1:
            yield f"{len(found)} cases of being stuck were opened"
            return
        entries = found[0].entries
        yield from self._met("a case", self._moments(story, Action.CASE, since), _when("opened", entries), story)
        escalated = _when("escalated", entries)
        yield from self._met("escalated", self._moments(story, Action.ESCALATE, since), escalated, story)
        if found[0].closed_by is not None:
            yield f"its case was closed by {found[0].closed_by}"
        if not _when("followed_up", entries):
            yield "its case was never followed up"

    def _payer_told(self, story: Story, since: datetime) -> Iterator[str]:
        to_payer = [notice for notice in self._notices[story.order_ref] if notice.audience == "payer"]
        told = [notice.created_at for notice in to_payer if notice.topic == "payer.processing"]
        yield from self._met("the payer told", self._moments(story, Action.REMIND, since), told, story)
        for notice in self._notices[story.order_ref]:
            if notice.topic in CONCLUDED:
                yield f"{notice.topic} was told at {notice.created_at:%d. %H:%M}"

    def _doubt(self, story: Story) -> Iterator[str]:
        found = [case for case in self._cases[story.order_ref] if case.kind == "close_in_doubt"]
        if len(found) != 1:
            yield f"its closing came due in doubt, and {len(found)} cases were opened for that"
        elif found[0].closed_by != "system":
            yield "the doubt is gone, and its case was not closed by that"

    def _moments(self, story: Story, action: Action, since: datetime) -> list[datetime]:
        """Returns when the policy has an action for an order that is processing, until the end."""
        moments: list[datetime] = []
        for each in self._policy.ladder(Status.PROCESSING, story.account).actions:
            if each.action is action:
                moments += [since + time.offset for time in each.times if time.anchor is Anchor.START]
                while each.every is not None and moments[-1] + each.every <= ENDS_AT:
                    moments.append(moments[-1] + each.every)
        return [at for at in moments if at <= ENDS_AT - LATE_MAX]

    def _met(self, what: str, expected: Sequence[datetime], done: Sequence[datetime], story: Story) -> Iterator[str]:
        """Yields each moment once, on time; those in which the gateway could not answer are asked again when it can."""
        done = [at for at in done if at <= ENDS_AT - LATE_MAX]
        if story.account == BROKEN_ACCOUNT and what == "asked":
            expected, done = _outside(expected), _outside(done)
        if len(expected) != len(done):
            yield f"{what} {len(done)} times, and {len(expected)} times is right"
            return
        for right, at in zip(expected, done, strict=True):
            self.latest = max(self.latest, at - right)
            if not timedelta(0) <= at - right + STEP <= LATE_MAX + STEP:
                yield f"{what} at {at:%d. %H:%M:%S}, and {right:%d. %H:%M:%S} is right"


def _outside(moments: Sequence[datetime]) -> list[datetime]:
    """Drops what fell into the time of the broken gateway, and the queries that caught up after it."""
    return [at for at in moments if not BROKEN_SINCE <= at < BROKEN_UNTIL + FOUND_AGAIN + CAUGHT_UP]


def _when(what: str, entries: Sequence[tuple[str, str, datetime]]) -> list[datetime]:
    return [at for each, _, at in entries if each == what]


def _by_order(rows: Sequence[Any]) -> defaultdict[str, list[Any]]:
    found = defaultdict[str, list[Any]](list)
    for row in rows:
        if row.order_ref is not None:
            found[row.order_ref].append(row)
    return found
