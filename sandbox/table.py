"""What the sandbox shows while it plays: a table that lives, or on anything but a terminal a line now and then."""

from collections.abc import Mapping
from typing import Final

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sandbox.look import Sight
from sandbox.posting_log import Counts
from tillkeeper.domain.order.status import STATUS_ZH, Status

LINE_EVERY_S: Final = 5.0
LANES: Final = {"rabbitmq": "RabbitMQ", "spool": "PostgreSQL"}  # as people call them


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """All that is shown at one time."""

    doing: str
    played_s: float
    per_s: float  # posts in the last seconds
    counts: Mapping[str, Counts]
    accepted: int
    lag_s: float
    p99_ms: float
    held_back: int
    sight: Sight


class Screen:
    """Shows moments."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._line_at_s = LINE_EVERY_S

    def say(self, line: str) -> None:
        """One line of progress."""
        self._console.print(Text(line, style="dim"))

    def show(self, moment: Moment) -> None:
        """The table anew, or a line if it is time for one."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(picture(moment), refresh=True)
        elif moment.played_s >= self._line_at_s:
            self._line_at_s = moment.played_s + LINE_EVERY_S
            self._console.print(line_of(moment))

    def close(self) -> None:
        """Makes room for the summary, and the cursor visible again."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def line_of(moment: Moment) -> Text:
    """The moment in one line."""
    counts, sight = moment.counts.values(), moment.sight
    forged, refused = sum(it.forged for it in counts), sum(it.forged_refused for it in counts)
    return Text(
        f"{moment.played_s:.0f} s {moment.doing}: accepted {moment.accepted:,}"
        f" ({sum(it.again for it in counts):,} duplicates), refused {refused:,} of {forged:,} forged,"
        f" applied {sight.applied:,} (lag {moment.lag_s:.1f} s), {sum(sight.orders.values()):,} orders,"
        f" {moment.per_s:.0f}/s by {lane_of(sight)}"
    )


def picture(moment: Moment) -> RenderableType:
    """The moment as a table."""
    sight = moment.sight
    lag = "red" if moment.lag_s > 1 else "green"
    head = Text.assemble(
        ("Tillkeeper sandbox", "bold"),
        f"  {moment.doing}  {moment.played_s:.0f} s  {moment.per_s:.0f} posts/s  by ",
        (lane_of(sight), "bold"),
    )
    foot = Text.assemble(
        f"applied {sight.applied:,} of {moment.accepted:,} accepted  lag ",
        (f"{moment.lag_s:.1f} s", lag),
        f"  accept p99 {moment.p99_ms:.1f} ms\n"
        f"held back {moment.held_back:,}  waiting for their order {sight.waiting:,}"
        f"  parked {sight.parked:,}",
    )
    if sight.stale:
        foot.append("  Tillkeeper does not answer", style="bold red")
    return Group(head, gateways(moment.counts), orders(sight.orders), foot)


def gateways(counts: Mapping[str, Counts]) -> Table:
    """What each account posted, and how it was answered."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("account")
    for column in ("accepted", "duplicates", "unanswered", "forged", "refused", "wrongly answered"):
        table.add_column(column, justify="right")
    for account, it in counts.items():
        fine = (it.accepted, it.again, it.unanswered, it.forged, it.forged_refused)
        wrong = it.refused + it.forged - it.forged_refused
        table.add_row(account, *(f"{count:,}" for count in fine), Text(f"{wrong:,}", style="bold red" if wrong else ""))
    return table


def orders(by_status: Mapping[Status, int]) -> RenderableType:
    """How many orders have which status, in two columns and two languages."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for style in ("", "", "bold", "", "", "bold"):
        table.add_column(style=style, justify="right" if style else "left", min_width=7 if style else 0)
    statuses = list(Status)
    half = len(statuses) // 2
    for left, right in zip(statuses[:half], statuses[half:], strict=True):
        table.add_row(*_order_cells(left, by_status), *_order_cells(right, by_status))
    return Padding(table, (1, 0), expand=False)


def _order_cells(status: Status, by_status: Mapping[Status, int]) -> tuple[str, str, str]:
    return f"  {status}", STATUS_ZH[status], f"{by_status.get(status, 0):,}"


def lane_of(sight: Sight) -> str:
    """The lane in use, as people call it."""
    lane = " and ".join(LANES.get(name, name) for name in sight.lane.split(" and ")) if sight.lane else "no lane yet"
    return f"{lane} (RabbitMQ passed by)" if sight.broker_passed_by else lane
