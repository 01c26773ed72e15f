"""How large a run is: as large as figures need, or so small that it only shows that everything still runs."""

from typing import Final

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much each section does."""

    seconds: float = 4.0  # how long each rate is measured
    warm_up_s: float = 1.0
    slow_s: float = 0.025  # a post that takes longer is looked at for what held it up
    requests: int = 20_000  # distinct ones; a run of more posts them again, which no part of a receiver notices
    clients: tuple[int, ...] = (1, 4, 16, 32)  # of pgbench
    events: int = 40_000  # applied, and end to end
    warm_up_events: int = 2_000  # of these: the worker's connections, statements and caches
    open_orders: tuple[int, ...] = (50_000, 500_000, 5_000_000)
    due_orders: int = 10_000  # of these
    claimed_orders: int = 500  # at once
    empty_polls: int = 200
    memory_events: int = 60_000
    confirmed_messages: int = 8_000  # 1.2 GB: two logs and more
    years_orders: int = 250_000  # with four events each; the targets are meant at ten times as many
    page_rounds: int = 20  # of every page
    page_events_a_second: int = 2_000  # beside them: half of what all of it takes end to end
    page_orders: int = 200_000  # that these events are about; enough for three minutes
    books_lines: int = 1_000_000
    books_planted: int = 100_000  # lines, of which one in a hundred is planted of each difference


MINIATURE: Final = Sizes(
    seconds=0.1,
    warm_up_s=0.05,
    slow_s=0.0,
    requests=100,
    clients=(2,),
    events=2_100,  # the first orders are paid from the 2,001st on
    warm_up_events=100,
    open_orders=(200, 400),
    due_orders=100,
    claimed_orders=50,
    empty_polls=2,
    memory_events=500,
    confirmed_messages=20,
    years_orders=3_000,
    page_rounds=2,
    page_events_a_second=50,
    page_orders=4_000,
    books_lines=2_000,
    books_planted=2_000,
)
