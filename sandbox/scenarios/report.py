"""How a scenario ended, for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from sandbox.scenarios.lossy_day import LossyDay
from sandbox.scenarios.stuck import Stuck

PERSON: Final = {"operator": "a person"}


def span(seconds: float | None) -> str:
    """A span of simulated time in few words."""
    if seconds is None:
        return "never"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def print_lossy_day(day: LossyDay, console: Console) -> None:
    """Figures with sweeps and without, and the line that says it all."""
    told = day.told()
    webhooks, swept, unswept = told["webhooks"], told["with_sweeps"], told["without_sweeps"]
    console.print()
    console.print(Text(f"lossy-day, seed {told['seed']}: {told['payments']:,} payments", style="bold"))
    console.print(
        Text(
            f"webhooks    {webhooks['due']:,} due; {webhooks['lost']:,} lost, {webhooks['silenced']:,} never sent, "
            f"{webhooks['doubled']:,} doubled, {webhooks['late']:,} late"
        )
    )
    for line in _halves({"with sweeps": swept, "webhooks alone": unswept}):
        console.print(Text(line))
    for it in told["differences"]:
        said = f"  {it['order_ref']} ({it['story']}): should be {it['expected']}, and is {it['found']}"
        console.print(Text(said, style="red"))
    for wrong in told["asked_wrongly"]:
        console.print(Text(f"  {wrong}", style="red"))
    true = told["payments"] - len({it.order_ref for it in day.swept.differences})
    console.print(
        _last(told, f"{true:,} orders of {told['payments']:,} are as their gateways know them, none by a person")
    )


def _halves(halves: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, half in halves.items():
        times = half["time_to_truth_s"]
        yield (
            f"{name:<15} time to truth: median {span(times['median'])}, 90 % {span(times['p90'])}, "
            f"99 % {span(times['p99'])}, slowest {span(half['slowest_s'])}; never {half['never']:,}"
        )
        by = ", ".join(
            f"{count:,} by {PERSON.get(evidence, evidence)}" for evidence, count in half["resolved_by"].items()
        )
        yield f"{'':<15} resolved: {by}; {half['queries']:,} queries; {half['took_s']} s, {half['steps']:,} steps"


def print_stuck(stuck: Stuck, console: Console) -> None:
    """Figures, and the line that says it all."""
    told = stuck.told()
    console.print()
    console.print(Text(f"stuck-at-gateway, seed {told['seed']}: {told['orders']:,} orders", style="bold"))
    asked = sum(told["questions"].values())
    for name, fact in {
        "questions": f"{asked:,}, of which {told['unanswered']:,} a broken gateway could not answer",
        "steps taken": _counts(told["ladder_steps"]),
        "cases": f"{_counts(told['cases'])}; {_counts(told['entries'])}",
        "payers": _counts(told["payers_told"]),
        "ops": _counts(told["ops_told"]),
        "latest": f"{told['latest_s']:.1f} s after its moment",
        "in doubt": f"{told['in_doubt']:,} orders whose closing came due while their gateway could not be asked",
    }.items():
        console.print(Text.assemble((f"{name:<10}", "dim"), fact))
    for wrong in told["wrong"]:
        console.print(Text(f"  {wrong}", style="red"))
    console.print(_last(told, "every step on time and once; no order was failed or closed in doubt"))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _last(told: Mapping[str, Any], fine: str) -> Text:
    if told["problems"]:
        return Text("\n".join(["it does NOT hold:", *(f"  {it}" for it in told["problems"])]), style="bold red")
    return Text(fine, style="bold green")
