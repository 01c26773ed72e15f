"""Whole lives of orders, without a database: a hundred thousand schedules of what may happen to one, in a minute.

    lines (lines.py) ──> long random lives
    trees (trees.py) ──> lives that branch: at each of the last levels everything that may happen next is tried

    python -m tests.pure.domain.lives --count 100000 --lines 10000 --seed 1

What must never be is looked for at each write (kept.py); at the end nothing waits for ever, all that was told is known,
and the same events have come to the same.  A failure prints its schedule as a call of `ends_well` to paste into a test.
"""

import argparse
import gc
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import msgspec

from tests.pure.domain.lines import live_line
from tests.pure.domain.trees import Tree


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one process lives: every so manieth seed from the first one on."""

    first: int
    step: int
    lines: int
    schedules: int  # with the lines

    def live(self) -> Counter[str]:
        """Lives so many lines, and then trees until there are as many schedules."""
        gc.disable()  # what a life makes dies by reference count
        done, begun = Counter[str](), time.process_time()
        for number in range(self.lines):
            done.update(live_line(self.first + number * self.step))
        seed = self.first
        while done["schedules"] < self.schedules:
            done.update(Tree(seed).explore())
            done["trees"] += 1
            seed += self.step
        done["milliseconds"] = int(1000 * (time.process_time() - begun))
        return done


def shares(*, first: int, lines: int, schedules: int, processes: int) -> list[Share]:
    """The shares of several processes, which differ by one at most."""
    return [
        Share(
            first=first + number,
            step=processes,
            lines=len(range(number, lines, processes)),
            schedules=len(range(number, schedules, processes)),
        )
        for number in range(processes)
    ]


def main() -> None:
    """Lives so many schedules, on two cores, and says how many there were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="schedules: lines, and leaves of trees")
    parser.add_argument("--lines", type=int, default=10_000, help="so many of them are lines")
    parser.add_argument("--seed", type=int, default=1, help="of the first line and of the first tree")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    lines = min(asked.lines, asked.count)
    parts = shares(first=asked.seed, lines=lines, schedules=asked.count, processes=asked.processes)
    with ProcessPoolExecutor(asked.processes) as pool:
        done = sum(pool.map(Share.live, parts), Counter[str]())
    sys.stdout.write(report(lines, done))


def report(lines: int, done: Counter[str]) -> str:
    """What was lived, in a few lines."""
    steps, shared = done["steps"], done["steps of schedules"] - done["steps"]
    outcomes = ("applied", "no_change", "mismatched", "waiting", "refused")
    return (
        f"{done['schedules']:,} schedules: {lines:,} lines, and {done['schedules'] - lines:,} leaves of "
        f"{done['trees']:,} trees, with {done['ends']:,} different sets of events: all end well\n"
        f"{done['steps of schedules']:,} steps: {steps:,} done, and {shared:,} shared "
        f"({', '.join(f'{done[name]:,} {name}' for name in outcomes)})\n"
        f"{done['milliseconds'] / 1000:.1f} s of CPU\n"
    )


if __name__ == "__main__":
    main()
