"""Implements `tillkeeper retention`: what was kept for long enough, and its removal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.settings import Settings
    from tillkeeper.store.retention.passes import Share

MEGABYTE: Final = 1_000_000

app = typer.Typer()
commands = typer.Typer(help="What was kept for long enough, and its removal.", no_args_is_help=True)
app.add_typer(commands, name="retention")


@commands.command("plan", epilog=exits(example="tillkeeper retention plan"))
def plan_command(config: Config = None, as_json: AsJson = False) -> None:
    """Say what retention would remove now, by the days of [retention], and how much that frees.

    Weeks of bodies are dropped whole, and give their space back to the disk; their rows are PostgreSQL's estimate. Of
    other rows each is read, and what they held becomes room for new ones.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.store.retention.passes import plan

        async def query(pool: "Pool") -> "list[Share]":
            async with pool.acquire() as conn:
                return await plan(conn, settings.retention.days(), now=clock.now())

        _print(settings, ask(settings, query), title="What retention would remove now", as_json=as_json)


@commands.command("run", epilog=exits(example="tillkeeper retention run"))
def run_command(config: Config = None, as_json: AsJson = False) -> None:
    """Remove it all now, as the sweep does by and by, in short transactions beside everybody's work.

    Safe to repeat, to stop, and to run beside a sweep. Needs the rights of the sweep or of the tables' owner.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.store.retention.passes import run

        async def work(pool: "Pool") -> "list[Share]":
            return [share async for share in run(pool, settings.retention.days(), now=clock.now())]

        shares = _added_up(ask(settings, work))
        _print(settings, shares, title="What retention removed", as_json=as_json)


def _added_up(shares: "Iterable[Share]") -> "list[Share]":
    """Returns one share for each part and week, of which there were many steps."""
    import msgspec

    sums: dict[tuple[str, str], Share] = {}
    for share in shares:
        known = sums.get((share.part, share.what))
        rows, size = (known.rows, known.bytes) if known else (0, 0)
        sums[share.part, share.what] = msgspec.structs.replace(share, rows=rows + share.rows, bytes=size + share.bytes)
    return list(sums.values())


def _print(settings: "Settings", shares: "Sequence[Share]", *, title: str, as_json: bool) -> None:
    from tillkeeper.cli.output import print_facts, print_json, print_table

    days = _days(settings)
    rows, size = sum(share.rows for share in shares), sum(share.bytes for share in shares)
    if as_json:
        print_json({"days": days, "parts": [_as_json(share) for share in shares], "rows": rows, "bytes": size})
        return
    print_facts({f"{kind} kept for": f"{number} days" if number else "ever" for kind, number in days.items()})
    print()
    lines = [
        (share.kind, share.what, share.until.date(), share.rows, round(share.bytes / MEGABYTE, 1)) for share in shares
    ]
    print_table(title, ("kind", "what", "before", ">rows", ">MB"), lines)
    print(f"{rows:,} rows, {_megabytes(size)} MB" if shares else "Nothing was kept for longer than that.")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / MEGABYTE:,.1f}"


def _days(settings: "Settings") -> dict[str, int]:
    """Returns the days by kind, 0 for ever."""
    import msgspec

    return msgspec.structs.asdict(settings.retention.days())


def _as_json(share: "Share") -> dict[str, Any]:
    return {
        "part": share.part,
        "kind": share.kind,
        "what": share.what,
        "until": share.until,
        "rows": share.rows,
        "bytes": share.bytes,
    }
