"""Trees of schedules: a random life up to some moment, then everything that may happen next, and next, and next.

    a life until some of its webhooks are still out ──┬─ one of them arrives ──┬─ the sweeper comes ──┬─ …  a leaf
                                                      │                        ├─ it arrives again    └─ …  a leaf
                                                      ├─ the sweeper comes ────┴─ …
                                                      └─ a person acts, or somebody dies before the write

Each way from the root to a leaf is a schedule, which is brought to its end by the shortest ending and checked as a line
is (lives.py).  What several have in common happens once, as all that is kept is shared (kept.py).  Leaves that know the
same events must have the same facts, status, cases and waiting events, however these events arrived.
"""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from tests.pure.domain.lines import Line
from tests.pure.domain.schedules import AFTER_ALL, NO_ANSWER, POLICY, Life, Step, history_of_life, second_of
from tillkeeper.domain.policy import Policy

OUT_MAX: Final = 3  # webhooks that may arrive in a tree; each of their orders is tried
# Levels from the root to a leaf, and of all that may happen next, how much is tried: some dozens of leaves, so that
# there are many roots.
SHAPES: Final = ((2, 7), (3, 4), (4, 2))
ROOT_MAX: Final = 40  # steps of the life before it branches
BEYOND_S: Final = (61, 1_200, 20_000)  # how late a sweeper comes: after a lease, a query's retries, or an outage

What = tuple[Any, ...]  # a step without its moment


class Tree:
    """All schedules of one root."""

    def __init__(self, seed: int, policy: Policy = POLICY) -> None:
        self.chance = random.Random(f"tree {seed}")
        self.history = history_of_life(seed)
        heard = range(len(self.history.heard))
        self.out = tuple(sorted(self.chance.sample(heard, min(len(heard), self.chance.randint(1, OUT_MAX)))))
        self.line = Line(self.history, self.chance, policy, withheld=self.out)
        self.depth, self.width = self.chance.choice(SHAPES)

    def explore(self) -> Counter[str]:
        """Lives all its schedules.  Raises AssertionError where something is as it must not be."""
        for _ in islice(self.line.live(), self.chance.randrange(ROOT_MAX)):
            pass
        self._branch(self.line.life, self.depth)
        return self.line.life.done

    def _branch(self, life: Life, depth: int) -> None:
        if depth == 0:
            out = [place for place in self.out if _key(life, place) not in life.kept.events]
            return life.do((second_of(life.now) + AFTER_ALL, "end", *out))
        coming = list(self._choices(life))
        for steps in self.chance.sample(coming, min(len(coming), self.width)):
            branch = life.branch()
            for step in steps:
                branch.do(step)
            self._branch(branch, depth - 1)
        return None

    # --- what may happen next -----------------------------------------------------------------------------------------

    def _choices(self, life: Life) -> Iterator[list[Step]]:
        """Everything that may happen next, each a step, or a sweeper's steps with what comes of its query."""
        now = second_of(life.now)
        at_once = [*self._arrivals(life), *self._answers(life), self._act(life)]
        for what in at_once:
            yield [(now + 1, *what)]
        yield [(now + 1, "crash", *self.chance.choice(at_once))]
        order = life.kept.order
        if order is not None and order.due_at is not None:
            due = max(now, second_of(order.due_at))
            yield self._sweep(due, "answered")
            yield self._sweep(due, self.chance.choice(NO_ANSWER))
            yield self._sweep(due + self.chance.choice(BEYOND_S), "answered")
            yield [(due, "sweep")]
            yield [(due, "crash", "sweep")]

    def _sweep(self, at: int, answer: str) -> list[Step]:
        return [(at, "sweep"), (at + 1, "answer", 0, answer), (at + 1, "settle", 0)]

    def _arrivals(self, life: Life) -> Iterator[What]:
        """Each webhook that is still out, and one more time one of those that came."""
        known = life.kept.events
        came = [place for place in self.out if _key(life, place) in known]
        yield from (("tell", place) for place in self.out if place not in came)
        if came:
            yield "tell", self.chance.choice(came)
        if life.kept.order is None:
            yield "register", self.chance.choice((None, 30)), ()

    def _answers(self, life: Life) -> Iterator[What]:
        """What comes of each query that is under way."""
        for place, flight in enumerate(life.flights):
            if flight.outcome is None:
                yield "answer", place, "answered"
                yield "answer", place, self.chance.choice(NO_ANSWER)
            else:
                yield "settle", place

    def _act(self, life: Life) -> What:
        """Something that a person may do to it as it stands."""
        order = life.kept.order
        acts: list[What] = [("replay",) if life.kept.parked else ("park",)]
        if order is not None and order.is_held(life.now):
            acts += [("release",)]
        elif order is not None:
            acts += [("ask",), ("hold", 10), ("hold", 90)]
        if order is not None and order.closed_at is None:
            acts += [("close",), ("force",)]
        kinds = sorted({str(case.kind) for case in life.kept.cases.values() if case.is_open})
        return self.chance.choice([*acts, *([("resolve", *kinds)] * 2 if kinds else [])])


def _key(life: Life, place: int) -> tuple[str, str]:
    event = life.history.heard[place]
    return event.account, event.event_id
