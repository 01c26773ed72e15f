"""Implements `tillkeeper handover`, which tells the next shift what it must know, in lines that fit a chat."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, By, Config, exits, person, settings_from
from tillkeeper.domain.order.case_texts import subject_in_words

if TYPE_CHECKING:
    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()

Peek = Annotated[
    bool, typer.Option("--peek", help="Only look: the next hand-over still tells what is new since the last.")
]


@app.command("handover", epilog=exits(example="tillkeeper handover --by mei"))
def handover_command(by: By = None, peek: Peek = False, config: Config = None, as_json: AsJson = False) -> None:
    """Hand the shift over: what is open, what is due next, and what is new since the last hand-over.

    Tells of cases opened, escalated and closed, orders that are stuck or held, notices that reached nobody, parked and
    waiting events, and accounts that are silent or do not answer.  Who handed over and when is kept, unless --peek.
    """
    who = None if peek else person(by)
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.postgres.transactions import repeat_on_conflict
        from tillkeeper.store.reports.handover import hand_over

        async def work(conn: "Conn") -> dict[str, Any]:
            return await hand_over(conn, by=who, now=clock.now())

        told = ask(settings, lambda pool: repeat_on_conflict(pool, work))
        if as_json:
            print_json({**told, "open": {**told["open"], "by_level": _keys_as_text(told["open"]["by_level"])}})
        else:
            for line in _lines(told):
                print(shown(line))


def _keys_as_text(counts: dict[int, int]) -> dict[str, int]:
    return {str(level): count for level, count in counts.items()}


def _lines(told: dict[str, Any]) -> Iterator[str]:
    from tillkeeper.cli.output import shown

    now, last = told["at"], told["last"]
    who = f" by {told['by']}" if told["by"] else " (a look, not recorded)"
    before = f"the last was {shown(last['at'])} by {last['by']}" if last else "there was none before"
    yield f"Hand-over {shown(now)}{who}; {before}."
    yield from _part("Open cases", _counted(told["open"]["by_level"], "level"), _open(told["open"]["most_urgent"], now))
    yield from _part("Due next", "", _due(told["due_next"], now))
    yield from _part("On hold", "", _held(told["held"], now))
    yield from _part("New since the last", _new_counts(told["new"]["counts"]), _new(told["new"]["latest"]))
    yield from _part("Stuck orders", "", _stuck(told["stuck"], now))
    dead = told["notices_dead"]
    yield from _part(
        "Notices that reached nobody", f"{dead['count']} new" if dead["count"] else "", _dead(dead["latest"])
    )
    yield from _part("Events aside", "", _aside(told, now))
    yield from _part("Accounts that are silent or do not answer", "", _gaps(told["accounts"], now))


def _part(title: str, summary: str, lines: Iterable[str]) -> Iterator[str]:
    """Yields a heading and its lines; the heading alone where there are none."""
    listed = list(lines)
    yield f"{title}: {summary or ('' if listed else 'none')}".rstrip()
    yield from (f"  {line}" for line in listed)


def _counted(counts: dict[int, int], name: str) -> str:
    each = ", ".join(f"{count} of {name} {key}" for key, count in counts.items())
    return f"{sum(counts.values())} ({each})" if counts else ""


def _about(case: dict[str, Any]) -> str:
    return f"order {case['order_ref']}" if case["order_ref"] else subject_in_words(case["subject"])


def _open(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting, when

    for case in rows:
        amount = in_words(case["amount"], case["currency"])
        parts = [f"#{case['id']} {case['kind']}", _about(case), *([amount] if amount else []), f"level {case['level']}"]
        parts += [f"for {lasting(now - case['opened_at'])}", case["owner"] or "nobody's"]
        yield ", ".join([*parts, f"follow-up {when(case['follow_up_at'], now)}"])


def _due(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import when

    for case in rows:
        owner, due = case["owner"] or "nobody", when(case["follow_up_at"], now)
        yield f"#{case['id']} {case['kind']}, {_about(case)}, {owner}: {due}"


def _held(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    for order in rows:
        left = lasting(order["held_until"] - now)
        yield f"order {order['order_ref']}, {order['status']}, for {left} more, by {order['by']}: {order['note']}"


def _new_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _new(rows: list[dict[str, Any]]) -> Iterator[str]:
    from tillkeeper.cli.output import shown

    for entry in rows:
        note = f": {entry['note']}" if entry["note"] else ""
        case = f"#{entry['id']} {entry['kind']}, {_about(entry)}"
        yield f"{shown(entry['at'])} {case}, {entry['what']} by {entry['by']}{note}"


def _stuck(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    for group in rows:
        longest = lasting(now - group["longest_since"])
        yield f"{group['status']}: {group['orders']}, {group['new']} of them new, the longest for {longest}"


def _dead(rows: list[dict[str, Any]]) -> Iterator[str]:
    for notice in rows:
        about = f", order {notice['order_ref']}" if notice["order_ref"] else ""
        yield f"{notice['topic']} to {notice['audience']}{about}: {notice['last_error'] or 'no reason kept'}"


def _aside(told: dict[str, Any], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    parked, waiting = told["parked"], told["waiting"]
    if parked["open"]:
        yield f"parked: {parked['open']}, {parked['new']} of them new"
    if waiting["open"]:
        oldest = lasting(now - waiting["oldest"])
        yield f"waiting for their order: {waiting['open']}, {waiting['new']} of them new, the oldest for {oldest}"


def _gaps(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    for gap in rows:
        kind = "silent" if gap["kind"] == "silent" else "does not answer"
        over = f"over since {lasting(now - gap['ended_at'])}" if gap["ended_at"] else "still so"
        why = f" ({gap['reason']})" if gap["reason"] else ""
        yield f"{gap['account']}: {kind}{why}, since {lasting(now - gap['since'])} ago, {over}"
