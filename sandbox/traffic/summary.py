"""Summarizes a run: figures, failed checks, and a verdict in one line."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from tillkeeper.sandbox.comparison import Difference
from tillkeeper.sandbox.traffic.monitor import TrafficSnapshot
from tillkeeper.sandbox.traffic.posting_log import PostingLog
from tillkeeper.sandbox.traffic.screen import LANES, gateways, orders

DIFFERENCES_MAX: Final = 10  # enough to see what kind of fault it is


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What `tillkeeper audit` said."""

    balances: bool
    books: dict[str, Any]
    said: str  # where that is no JSON

    @classmethod
    def of(cls, code: int, output: str) -> "AuditVerdict":
        """Returns the verdict in an exit code and an output; both must say the same."""
        try:
            books = json.loads(output.strip().rpartition("\n")[2])
        except ValueError:
            return cls(balances=False, books={}, said=output)
        if not isinstance(books, dict):
            return cls(balances=False, books={}, said=output)
        return cls(balances=code == 0 and books.get("balances") is True, books=books, said="")


class TrafficSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run showed."""

    seconds: float
    seed: int
    log: PostingLog
    snapshot: TrafficSnapshot
    audit: AuditVerdict
    asked: int  # orders asked for over HTTP, with their history; status and sums were compared of all
    differences: Sequence[Difference]
    caught_up: bool
    queries: Mapping[str, int] = MappingProxyType({})  # that were put to each account's gateway

    def problems(self) -> list[str]:
        """Returns what does not hold, a line each; nothing when all is well."""
        log = self.log
        forged_accepted = sum(count.forged_accepted for count in log.counts.values())
        refused = sum(count.refused for count in log.counts.values())
        differing = len({difference.order_ref for difference in self.differences})
        found = {
            "no order was played": not log.orders,
            f"{forged_accepted} forged deliveries were accepted": forged_accepted,
            f"{refused} genuine deliveries were refused": refused,
            f"{log.undelivered()} deliveries were never accepted": log.undelivered(),
            f"{len(log.unregistered)} orders could not be registered": log.unregistered,
            "some answers were not as they should be": log.surprises,
            "Tillkeeper did not catch up in time": not self.caught_up,
            f"{differing} orders are not as the gateways know them": differing,
            "the audit says that the books do not balance": not self.audit.balances,
        }
        return [problem for problem, holds in found.items() if holds]

    def as_dict(self) -> dict[str, Any]:
        """As one JSON document."""
        counts = self.log.counts
        p50, p99 = percentiles_ms(self.log.accept_s)
        return {
            "seconds": round(self.seconds, 1),
            "seed": self.seed,
            "posted": self.log.posted,
            "accepted": self.log.accepted,
            "duplicates": sum(each.again for each in counts.values()),
            "refused": sum(each.refused for each in counts.values()),
            "unanswered": sum(each.unanswered for each in counts.values()),
            "forged": sum(each.forged for each in counts.values()),
            "forged_refused": sum(each.forged_refused for each in counts.values()),
            "forged_accepted": sum(each.forged_accepted for each in counts.values()),
            "invented": sum(each.invented for each in counts.values()),
            "tricks": dict(sorted(self.log.tricks.items())),
            "accounts": {account: msgspec.structs.asdict(posts) for account, posts in counts.items()},
            "accept_ms": {"p50": p50, "p99": p99},
            "lanes": self.snapshot.lanes,
            "applied": self.snapshot.applied,
            "orders": len(self.log.orders),
            "statuses": {status.value: count for status, count in sorted(self.snapshot.orders.items())},
            "compared": len(self.log.orders),
            "asked": self.asked,
            "queries": dict(self.queries),
            "differences": [msgspec.structs.asdict(difference) for difference in self.differences[:DIFFERENCES_MAX]],
            "surprises": self.log.surprises,
            "audit": self.audit.books or self.audit.said,
            "balances": self.audit.balances,
            "problems": (problems := self.problems()),
            "holds": not problems,
        }


def percentiles_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """Returns the median and the 99th percentile in milliseconds; zeros of nothing."""
    if not seconds:
        return 0.0, 0.0
    ranked = sorted(seconds)
    return tuple(round(1000 * ranked[int(len(ranked) * share)], 1) for share in (0.5, 0.99))  # type: ignore[return-value]


def print_summary(summary: TrafficSummary, console: Console) -> None:
    """For people."""
    figures = summary.as_dict()
    console.print()
    console.print(Text(f"Played for {figures['seconds']} s with seed {figures['seed']}", style="bold"))
    console.print(gateways(summary.log.counts))
    console.print(orders(summary.snapshot.orders))
    for name, fact in _facts(figures, summary).items():
        console.print(Text.assemble((f"{name:<10}", "dim"), fact))
    for surprise in summary.log.surprises:
        console.print(Text(f"  {surprise}", style="red"))
    for difference in summary.differences[:DIFFERENCES_MAX]:
        order, field = f"{difference.order_ref} ({difference.story})", difference.field
        said = f"  {order}: {field} should be {difference.expected}, and is {difference.found}"
        console.print(Text(said, style="red"))
    console.print(last_line(summary))


def _facts(figures: Mapping[str, Any], summary: TrafficSummary) -> dict[str, str]:
    lanes = ", ".join(f"{count:,} by {LANES.get(lane, lane)}" for lane, count in figures["lanes"].items())
    tricks = ", ".join(f"{count} {trick.replace('_', ' ')}" for trick, count in figures["tricks"].items())
    invented = (
        f"; {figures['invented']:,} made up where nothing is signed, and of no effect" if figures["invented"] else ""
    )
    books, latency, asked = summary.audit.books, figures["accept_ms"], figures["asked"]
    return {
        "accepted": f"{figures['accepted']:,} deliveries ({lanes or 'none'}), "
        f"{figures['duplicates']:,} of them duplicates; p50 {latency['p50']} ms, p99 {latency['p99']} ms",
        "forged": f"{figures['forged_refused']:,} of {figures['forged']:,} refused ({tricks or 'none'}){invented}",
        "applied": f"{figures['applied']:,} deliveries",
        "compared": f"{figures['compared']:,} orders by status and sums, {asked:,} of them over HTTP and by event",
        "queries": f"{sum(figures['queries'].values()):,} put to the gateways",
        "audit": _audit_line(books) if books else f"no verdict: {summary.audit.said.strip() or 'it said nothing'}",
    }


def _audit_line(books: Mapping[str, Any]) -> str:
    outcomes = {**books.get("outcomes", {}), "duplicates": books.get("duplicates"), "parked": books.get("parked")}
    became = " + ".join(f"{count:,} {name}" for name, count in outcomes.items() if count)
    return f"{books.get('accepted', 0):,} accepted events = {became or 0}"


def last_line(summary: TrafficSummary) -> Text:
    """Returns the verdict."""
    count = len(summary.log.orders)
    if problems := summary.problems():
        return Text("\n".join(["it does NOT hold:", *(f"  {problem}" for problem in problems)]), style="bold red")
    return Text(f"the books balance; {count:,} orders of {count:,} are as the gateways know them", style="bold green")
