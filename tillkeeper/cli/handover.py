"""`tillkeeper handover`: what the next shift must know, in lines that fit a chat."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.failed import reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, By, Config, exits, person, settings_from

if TYPE_CHECKING:
    from tillkeeper.store.pool import Conn

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
        from tillkeeper.store.handing_over import hand_over
        from tillkeeper.store.transactions import repeat_when_raced

        async def work(conn: "Conn") -> dict[str, Any]:
            return await hand_over(conn, by=who, now=clock.now())

        told = ask(settings, lambda pool: repeat_when_raced(pool, work))
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
    yield from _part("Accounts that are silent or do not answer", "", _quiet(told["accounts"], now))


def _part(title: str, summary: str, lines: Iterable[str]) -> Iterator[str]:
    """A heading and its lines; one line where there is nothing to tell."""
    listed = list(lines)
    yield f"{title}: {summary or ('' if listed else 'none')}".rstrip()
    yield from (f"  {line}" for line in listed)


def _counted(counts: dict[int, int], name: str) -> str:
    each = ", ".join(f"{count} of {name} {key}" for key, count in counts.items())
    return f"{sum(counts.values())} ({each})" if counts else ""


def _about(it: dict[str, Any]) -> str:
    return f"order {it['order_ref']}" if it["order_ref"] else it["subject"]


def _open(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting, when

    for it in rows:
        amount = in_words(it["amount"], it["currency"])
        parts = [f"#{it['id']} {it['kind']}", _about(it), *([amount] if amount else []), f"level {it['level']}"]
        parts += [f"for {lasting(now - it['opened_at'])}", it["owner"] or "nobody's"]
        yield ", ".join([*parts, f"follow-up {when(it['follow_up_at'], now)}"])


def _due(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import when

    for it in rows:
        yield f"#{it['id']} {it['kind']}, {_about(it)}, {it['owner'] or 'nobody'}: {when(it['follow_up_at'], now)}"


def _held(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    for it in rows:
        left = lasting(it["held_until"] - now)
        yield f"order {it['order_ref']}, {it['status']}, for {left} more, by {it['by']}: {it['note']}"


def _new_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _new(rows: list[dict[str, Any]]) -> Iterator[str]:
    from tillkeeper.cli.output import shown

    for it in rows:
        note = f": {it['note']}" if it["note"] else ""
        yield f"{shown(it['at'])} #{it['id']} {it['kind']}, {_about(it)}, {it['what']} by {it['by']}{note}"


def _stuck(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    for it in rows:
        longest = lasting(now - it["longest_since"])
        yield f"{it['status']}: {it['orders']}, {it['new']} of them new, the longest for {longest}"


def _dead(rows: list[dict[str, Any]]) -> Iterator[str]:
    for it in rows:
        about = f", order {it['order_ref']}" if it["order_ref"] else ""
        yield f"{it['topic']} to {it['audience']}{about}: {it['last_error'] or 'no reason kept'}"


def _aside(told: dict[str, Any], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    parked, waiting = told["parked"], told["waiting"]
    if parked["open"]:
        yield f"parked: {parked['open']}, {parked['new']} of them new"
    if waiting["open"]:
        oldest = lasting(now - waiting["oldest"])
        yield f"waiting for their order: {waiting['open']}, {waiting['new']} of them new, the oldest for {oldest}"


def _quiet(rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    from tillkeeper.cli.output import lasting

    for it in rows:
        kind = "silent" if it["kind"] == "silent" else "does not answer"
        over = f"over since {lasting(now - it['ended_at'])}" if it["ended_at"] else "still so"
        why = f" ({it['reason']})" if it["reason"] else ""
        yield f"{it['account']}: {kind}{why}, since {lasting(now - it['since'])} ago, {over}"
