"""Decides the faults of webhooks on their way: lost, doubled, late, or never sent during a silence.  Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from tillkeeper.sandbox.scenarios.templates import WITHOUT_WEBHOOK
from tillkeeper.sandbox.story import Story, StoryEvent

PROMPT_S: Final = (0.5, 4.0)  # how late a webhook is that nothing befalls
DOUBLED_S: Final = (1.0, 900.0)  # until the same comes again
LATE_S: Final = (60.0, 3600.0)  # late enough to be overtaken by what happens after it


class SilentPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a gateway sends nothing, and never makes up for it."""

    account: str
    since: datetime
    until: datetime


class DeliveryFaults(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of webhooks, and who is silent when."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    silent_periods: tuple[SilentPeriod, ...] = ()


class ArrivingWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that does arrive."""

    at: datetime
    story: Story
    event: StoryEvent
    again: int = 0


class DeliveryCounts(msgspec.Struct, kw_only=True):
    """How many webhooks there were to be sent, and what befell them."""

    due: int = 0
    lost: int = 0
    silenced: int = 0
    doubled: int = 0
    late: int = 0


def arrivals(
    stories: Iterable[Story], faults: DeliveryFaults, *, seed: int, counts: DeliveryCounts
) -> Iterator[ArrivingWebhook]:
    """Every webhook that arrives, in no order; `counts` is counted up."""
    for story in stories:
        chance = Random(f"{seed}:{story.order_ref}:mishaps")  # noqa: S311 - to be repeatable is the purpose
        for event in story.events:
            if event.event_type not in WITHOUT_WEBHOOK:
                counts.due += 1
                yield from _arrivals_of(story, event, faults, chance, counts)


def _arrivals_of(
    story: Story, event: StoryEvent, faults: DeliveryFaults, chance: Random, counts: DeliveryCounts
) -> Iterator[ArrivingWebhook]:
    lost, late, doubled = (chance.random() < share for share in (faults.lost, faults.late, faults.doubled))
    if any(
        period.account == story.account and period.since <= event.at < period.until for period in faults.silent_periods
    ):
        counts.silenced += 1
        return
    if lost:
        counts.lost += 1
        return
    at = event.at + timedelta(seconds=chance.uniform(*(LATE_S if late else PROMPT_S)))
    counts.late += late
    yield ArrivingWebhook(at=at, story=story, event=event)
    if doubled:
        counts.doubled += 1
        again_at = at + timedelta(seconds=chance.uniform(*DOUBLED_S))
        yield ArrivingWebhook(at=again_at, story=story, event=event, again=1)
