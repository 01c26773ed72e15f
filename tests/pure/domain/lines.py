"""Random lives of orders: webhooks late, twice or lost, time, answers, people, and deaths before the write.

what truly happens (histories.py) ──> webhooks, late, twice or lost
a moment comes ──> the order is loaded ─ handed what happened ─ its changes written, or thrown away and decided anew
its sweeper asks the gateways, which answer, or do not, or cannot be asked
"""

import random
from collections import Counter
from collections.abc import Collection, Iterator
from heapq import heappop, heappush
from typing import Any, Final

from tests.pure.domain.histories import History
from tests.pure.domain.schedules import AFTER_ALL, POLICY, Life, history_of_life, second_of
from tillkeeper.domain.policy import Policy

HOURS: Final = 12  # of a life that is looked at
END_S: Final = HOURS * 3600
STEPS_MAX: Final = 1_000  # of a life; the longest of the first 8,000 had 296
What = tuple[Any, ...]  # a step without its moment
GATEWAYS: Final = ("answer",) * 4 + ("fail at times",) * 3 + ("cannot be asked", "are refused")
ACTS: Final = ("hold", "release", "ask", "close", "force", "resolve", "park", "replay", "mend")


class Line:
    """One order's life, made up as it goes."""

    def __init__(
        self, history: History, chance: random.Random, policy: Policy = POLICY, *, withheld: Collection[int] = ()
    ) -> None:
        self.chance = chance
        self.life = Life(history, policy)
        self.agenda: list[tuple[int, int, What]] = []
        self.gateways = chance.choice(GATEWAYS)
        for place, event in enumerate(history.heard):
            late = chance.choice((0, 0, 1, 20, 60, 1800, 20_000))
            if place not in withheld:
                self._plan(second_of(event.known_at) + late, "tell", place)
        expires = chance.choice((None, None, 30, 120))
        plan = chance.choice(((), (), (), ((40, 60), (60, 180))))
        self._plan(chance.choice((0, 0, 0, 30, 900)), "register", expires, plan)
        for _ in range(chance.choice((0, 0, 1, 2, 4))):
            self._plan(60 * chance.randrange(HOURS * 60), chance.choice(ACTS))

    def live(self) -> Iterator[None]:
        """Lets everything happen, in the order of its moments, and pauses after each step."""
        while (moment := self._next_moment()) is not None and moment <= END_S:
            second = max(moment, second_of(self.life.now))
            assert self.life.length < STEPS_MAX, "it is due again and again, and nothing comes of it"
            for what in self._happening(second):
                self.life.do((second, *what))
                yield

    def _plan(self, at: int, *what: Any) -> None:
        heappush(self.agenda, (at, len(self.agenda) + self.chance.getrandbits(30), what))

    def _next_moment(self) -> int | None:
        order = self.life.kept.order
        coming = [self.agenda[0][0]] if self.agenda else []
        coming += [second_of(order.due_at)] if order is not None and order.due_at is not None else []
        return min(coming, default=None)

    def _happening(self, second: int) -> Iterator[What]:
        if not self.agenda or self.agenda[0][0] > second:
            return self._sweep()
        what = heappop(self.agenda)[2]
        return self._act(what[0]) if what[0] in ACTS else self._in_the_end(what, (1, 1, 1, 2))

    def _in_the_end(self, what: What, times: tuple[int, ...]) -> Iterator[What]:
        """Who does it may die before the write, and another begins anew; or before saying so, and it comes again."""
        while self.chance.random() < 0.15:
            yield "crash", *what
        for _ in range(self.chance.choice(times)):
            yield what

    def _sweep(self) -> Iterator[What]:
        """Its moment came: a sweeper takes its steps, and may die after each."""
        before = self.life.flights
        yield from self._in_the_end(("sweep",), (1,))
        if self.life.flights is before or self.chance.random() < 0.1:
            return
        yield "answer", 0, self._answer()
        if self.chance.random() < 0.1:
            return
        yield from self._in_the_end(("settle", 0), (1, 1, 2))

    def _answer(self) -> str:
        if self.gateways == "cannot be asked":
            return self.gateways
        if self.gateways == "fail at times" and self.chance.random() < 0.5:
            return "silent"
        if self.gateways == "are refused" and self.chance.random() < 0.3:
            return "refused"
        return "answered"

    def _act(self, what: str) -> Iterator[What]:
        """A person does something to it."""
        if what == "mend":
            self.gateways = "answer"
        elif what == "hold":
            yield from self._in_the_end((what, self.chance.choice((10, 90))), (1,))
        elif what == "resolve":
            kinds = {str(case.kind) for case in self.life.kept.cases.values() if case.is_open}
            yield what, *(kind for kind in sorted(kinds) if self.chance.random() < 0.7)
        else:
            yield from self._in_the_end((what,), (1,))


def live_line(seed: int, policy: Policy = POLICY) -> Counter[str]:
    """Lives the line of a seed.  Raises AssertionError where something is as it must not be."""
    line = Line(history_of_life(seed), random.Random(seed), policy)
    for _ in line.live():
        pass
    life = line.life
    life.do((second_of(life.now) + AFTER_ALL, "end"))
    return life.done
