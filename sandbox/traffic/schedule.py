"""Plans the posts of an order with their faults: repeated, out of order, held back, forged.  Pure."""

from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec

from tillkeeper.sandbox.story import Story, StoryEvent

AGAIN_SHARE: Final = 0.15  # of deliveries are sent again although they were accepted
FORGED_SHARE: Final = 0.03
SHUFFLED_SHARE: Final = 0.20  # of orders whose deliveries overtake each other
LATE_SHARE: Final = 0.08  # of deliveries that are held back
UNREGISTERED_SHARE: Final = 0.12  # of orders that are paid before their registration arrives

PACE_S: Final = (0.05, 1.0)  # between two deliveries of one order
LATE_S: Final = (2.0, 6.0)
AGAIN_S: Final = (0.0, 3.0)  # 0: both at once


class Register(msgspec.Struct, frozen=True):
    """PUT /orders."""

    after_s: float
    story: Story


class Deliver(msgspec.Struct, frozen=True):
    """A genuine delivery; `again` is 1 for a repetition."""

    after_s: float
    story: Story
    event: StoryEvent
    again: int = 0


class Forge(msgspec.Struct, frozen=True):
    """A delivery that must be refused."""

    after_s: float
    story: Story


Act = Register | Deliver | Forge


def actions_of(story: Story, chance: Random) -> list[Act]:
    """Returns everything to be done about one order, with seconds from its opening."""
    unregistered = bool(story.events) and chance.random() < UNREGISTERED_SHARE
    acts: list[Act] = [Register(chance.uniform(0.5, 4.0) if unregistered else 0.0, story)]
    acts += _deliveries(story, chance)
    forgeries = sum(chance.random() < FORGED_SHARE for _ in acts)
    acts += [Forge(chance.uniform(0.0, 3.0), story) for _ in range(forgeries)]
    return acts


def _deliveries(story: Story, chance: Random) -> Iterator[Act]:
    events = list(story.events)
    if chance.random() < SHUFFLED_SHARE:
        chance.shuffle(events)
    after_s = 0.0
    for event in events:
        after_s += chance.uniform(*PACE_S)
        at_s = after_s + (chance.uniform(*LATE_S) if chance.random() < LATE_SHARE else 0.0)
        yield Deliver(at_s, story, event)
        if chance.random() < AGAIN_SHARE:
            yield Deliver(at_s + chance.uniform(*AGAIN_S), story, event, again=1)
