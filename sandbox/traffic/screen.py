"""Shows the progress of a run: a live table on a terminal, elsewhere a line now and then."""

from collections.abc import Mapping
from typing import Final

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tillkeeper.domain.statuses import STATUS_ZH, Status
from tillkeeper.sandbox.traffic.monitor import TrafficSnapshot
from tillkeeper.sandbox.traffic.posting_log import PostCounts

LINE_EVERY_S: Final = 5.0
LANES: Final = {"rabbitmq": "RabbitMQ", "spool": "PostgreSQL"}  # as people call them


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """All that is shown at one time."""

    doing: str
    played_s: float
    per_s: float  # posts in the last seconds
    counts: Mapping[str, PostCounts]
    accepted: int
    lag_s: float
    p99_ms: float
    held_back: int
    snapshot: TrafficSnapshot


class Screen:
    """Shows moments."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._line_at_s = LINE_EVERY_S

    def say(self, line: str) -> None:
        """One line of progress."""
        self._console.print(Text(line, style="dim"))

    def show(self, frame: Frame) -> None:
        """The table anew, or a line if it is time for one."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(picture(frame), refresh=True)
        elif frame.played_s >= self._line_at_s:
            self._line_at_s = frame.played_s + LINE_EVERY_S
            self._console.print(line_of(frame))

    def close(self) -> None:
        """Makes room for the summary, and the cursor visible again."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def line_of(frame: Frame) -> Text:
    """Returns the moment in one line."""
    counts, snapshot = frame.counts.values(), frame.snapshot
    forged, refused = sum(count.forged for count in counts), sum(count.forged_refused for count in counts)
    return Text(
        f"{frame.played_s:.0f} s {frame.doing}: accepted {frame.accepted:,}"
        f" ({sum(count.again for count in counts):,} duplicates), refused {refused:,} of {forged:,} forged,"
        f" applied {snapshot.applied:,} (lag {frame.lag_s:.1f} s), {sum(snapshot.orders.values()):,} orders,"
        f" {frame.per_s:.0f}/s by {lane_of(snapshot)}"
    )


def picture(frame: Frame) -> RenderableType:
    """Returns the moment as a table."""
    snapshot = frame.snapshot
    lag = "red" if frame.lag_s > 1 else "green"
    head = Text.assemble(
        ("Tillkeeper sandbox", "bold"),
        f"  {frame.doing}  {frame.played_s:.0f} s  {frame.per_s:.0f} posts/s  by ",
        (lane_of(snapshot), "bold"),
    )
    foot = Text.assemble(
        f"applied {snapshot.applied:,} of {frame.accepted:,} accepted  lag ",
        (f"{frame.lag_s:.1f} s", lag),
        f"  accept p99 {frame.p99_ms:.1f} ms\n"
        f"held back {frame.held_back:,}  waiting for their order {snapshot.waiting:,}"
        f"  parked {snapshot.parked:,}",
    )
    if snapshot.stale:
        foot.append("  Tillkeeper does not answer", style="bold red")
    return Group(head, gateways(frame.counts), orders(snapshot.orders), foot)


def gateways(counts: Mapping[str, PostCounts]) -> Table:
    """Returns what each account posted, and how it was answered."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("account")
    for column in ("accepted", "duplicates", "unanswered", "forged", "refused", "wrongly answered"):
        table.add_column(column, justify="right")
    for account, posts in counts.items():
        fine = (posts.accepted, posts.again, posts.unanswered, posts.forged, posts.forged_refused)
        wrong = posts.refused + posts.forged - posts.forged_refused
        table.add_row(account, *(f"{count:,}" for count in fine), Text(f"{wrong:,}", style="bold red" if wrong else ""))
    return table


def orders(by_status: Mapping[Status, int]) -> RenderableType:
    """Returns how many orders have which status, in two columns and two languages."""
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


def lane_of(snapshot: TrafficSnapshot) -> str:
    """Returns the lane in use, as people call it."""
    lane = (
        " and ".join(LANES.get(name, name) for name in snapshot.lane.split(" and ")) if snapshot.lane else "no lane yet"
    )
    return f"{lane} (RabbitMQ passed by)" if snapshot.broker_passed_by else lane
