"""What befalls webhooks on their way: lost, doubled, late, or never sent while their gateway is silent.  Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from sandbox.scenarios.lives import UNSAID
from sandbox.story import Happening, Story

PROMPT_S: Final = (0.5, 4.0)  # how late a webhook is that nothing befalls
DOUBLED_S: Final = (1.0, 900.0)  # until the same comes again
LATE_S: Final = (60.0, 3600.0)  # late enough to be overtaken by what happens after it


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a gateway sends nothing, and never makes up for it."""

    account: str
    since: datetime
    until: datetime


class Mishaps(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of webhooks, and who is silent when."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    silences: tuple[Silence, ...] = ()


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that does arrive."""

    at: datetime
    story: Story
    happening: Happening
    again: int = 0


class Toll(msgspec.Struct, kw_only=True):
    """How many webhooks there were to be sent, and what befell them."""

    due: int = 0
    lost: int = 0
    silenced: int = 0
    doubled: int = 0
    late: int = 0


def arrivals(stories: Iterable[Story], mishaps: Mishaps, *, seed: int, toll: Toll) -> Iterator[Arrival]:
    """Every webhook that arrives, in no order; `toll` is counted up."""
    for story in stories:
        chance = Random(f"{seed}:{story.order_ref}:mishaps")  # noqa: S311 - to be repeatable is the purpose
        for happening in story.happenings:
            if happening.word not in UNSAID:
                toll.due += 1
                yield from _arrivals_of(story, happening, mishaps, chance, toll)


def _arrivals_of(story: Story, happening: Happening, mishaps: Mishaps, chance: Random, toll: Toll) -> Iterator[Arrival]:
    lost, late, doubled = (chance.random() < share for share in (mishaps.lost, mishaps.late, mishaps.doubled))
    if any(it.account == story.account and it.since <= happening.at < it.until for it in mishaps.silences):
        toll.silenced += 1
        return
    if lost:
        toll.lost += 1
        return
    at = happening.at + timedelta(seconds=chance.uniform(*(LATE_S if late else PROMPT_S)))
    toll.late += late
    yield Arrival(at=at, story=story, happening=happening)
    if doubled:
        toll.doubled += 1
        again_at = at + timedelta(seconds=chance.uniform(*DOUBLED_S))
        yield Arrival(at=again_at, story=story, happening=happening, again=1)
