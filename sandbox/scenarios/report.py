"""Prints the result of a scenario for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from tillkeeper.sandbox.scenarios.lossy_day import LossyDay
from tillkeeper.sandbox.scenarios.stuck import Stuck

PERSON: Final = {"operator": "a person"}


def span(seconds: float | None) -> str:
    """Returns a span of simulated time in few words."""
    if seconds is None:
        return "never"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def print_lossy_day(day: LossyDay, console: Console) -> None:
    """Figures with sweeps and without, and the line that says it all."""
    figures = day.as_dict()
    webhooks, swept, unswept = figures["webhooks"], figures["with_sweeps"], figures["without_sweeps"]
    console.print()
    console.print(Text(f"lossy-day, seed {figures['seed']}: {figures['payments']:,} payments", style="bold"))
    console.print(
        Text(
            f"webhooks    {webhooks['due']:,} due; {webhooks['lost']:,} lost, {webhooks['silenced']:,} never sent, "
            f"{webhooks['doubled']:,} doubled, {webhooks['late']:,} late"
        )
    )
    for line in _halves({"with sweeps": swept, "webhooks alone": unswept}):
        console.print(Text(line))
    for difference in figures["differences"]:
        order = f"{difference['order_ref']} ({difference['story']})"
        said = f"  {order}: should be {difference['expected']}, and is {difference['found']}"
        console.print(Text(said, style="red"))
    for wrong in figures["asked_wrongly"]:
        console.print(Text(f"  {wrong}", style="red"))
    true = figures["payments"] - len({difference.order_ref for difference in day.swept.differences})
    console.print(
        _last(figures, f"{true:,} orders of {figures['payments']:,} are as their gateways know them, none by a person")
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
    figures = stuck.as_dict()
    console.print()
    console.print(Text(f"stuck-at-gateway, seed {figures['seed']}: {figures['orders']:,} orders", style="bold"))
    asked = sum(figures["queries"].values())
    for name, fact in {
        "queries": f"{asked:,}, of which {figures['unanswered']:,} a broken gateway could not answer",
        "steps": _counts(figures["ladder_steps"]),
        "cases": f"{_counts(figures['cases'])}; {_counts(figures['entries'])}",
        "payers": _counts(figures["payers_told"]),
        "ops": _counts(figures["ops_told"]),
        "latest": f"{figures['latest_s']:.1f} s after its moment",
        "in doubt": f"{figures['in_doubt']:,} orders whose closing came due while their gateway could not be asked",
    }.items():
        console.print(Text.assemble((f"{name:<10}", "dim"), fact))
    for wrong in figures["wrong"]:
        console.print(Text(f"  {wrong}", style="red"))
    console.print(_last(figures, "every step on time and once; no order was failed or closed in doubt"))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _last(figures: Mapping[str, Any], fine: str) -> Text:
    if figures["problems"]:
        return Text(
            "\n".join(["it does NOT hold:", *(f"  {problem}" for problem in figures["problems"])]), style="bold red"
        )
    return Text(fine, style="bold green")
