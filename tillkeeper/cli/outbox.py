"""Implements `tillkeeper outbox`, by which people see notices that are not sent, and have dead ones tried again."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, reported
from tillkeeper.cli.options import AsJson, By, Config, Note, exits, person, reason, settings_from, unicode
from tillkeeper.domain.order.notices import Audience

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()
commands = typer.Typer(help="Notices that are not sent: see them, try dead ones again.", no_args_is_help=True)
app.add_typer(commands, name="outbox")

LIMIT_MAX: Final = 10_000  # more than a person reads


class NoticeState(StrEnum):
    """The states of notices that are not sent."""

    DEAD = "dead"
    PENDING = "pending"


Listed = Annotated[NoticeState, typer.Option("--state", help="Given up (dead), or still to be sent (pending).")]
To = Annotated[Audience | None, typer.Option("--audience", help="To these alone.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="The latest dead ones, or the next due.")]
Keys = Annotated[list[str], typer.Argument(metavar="KEY", parser=unicode, help="Their keys, as `outbox list` shows.")]


@commands.command("list", epilog=exits(example="tillkeeper outbox list --audience merchant"))
def list_command(
    state: Listed = NoticeState.DEAD,
    audience: To = None,
    limit: Limit = 50,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List notices that were given up, the latest first, or those that are still to be sent, the next first."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.reports.outbox import list_unsent

        async def query(pool: "Pool") -> list[dict[str, Any]]:
            async with pool.acquire() as conn:
                return await list_unsent(conn, state.value, audience=audience, limit=limit + 1)

        found = ask(settings, query)
        rows, more = found[:limit], len(found) > limit
        if as_json:
            print_json({"notices": rows, "more": more})
            return
        columns = ["key", "audience", "topic", "order_ref", "attempts", "last_error"]
        columns += ["finished_at" if state is NoticeState.DEAD else "due_at"]
        print_table("Notices", columns, ([row[column] for column in columns] for row in rows))
        print("There are more; --limit shows them." if more else f"{len(rows)} in all." if rows else "There is none.")


@commands.command(
    "retry",
    epilog=exits(
        yes="all are tried again",
        no="one is not dead, or not there",
        example='tillkeeper outbox retry order/17/4 --note "the shop is back"',
    ),
)
def retry_command(keys: Keys, note: Note, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have dead notices tried again at once, on those of their channels that gave up.

    What a channel took is not sent to it again.  Who and why are kept.
    """
    who, why = person(by), reason(note)
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.outbox.retrying import retry_dead
        from tillkeeper.store.people.log import LogEntry, write_log
        from tillkeeper.store.postgres.transactions import repeat_on_conflict

        async def work(conn: "Conn") -> list[dict[str, Any]]:
            now = clock.now()
            retried = await retry_dead(conn, keys, now=now)
            for row in retried:
                entry = LogEntry(
                    kind="act", person_id=None, person=who, what="retry a notice", subject=row["key"], why=why
                )
                await write_log(conn, entry, now=now)
            return retried

        retried = ask(settings, lambda pool: repeat_on_conflict(pool, work))
        left = [key for key in dict.fromkeys(keys) if key not in {row["key"] for row in retried}]
        if as_json:
            print_json({"retried": retried, "left": left})
        else:
            for row in retried:
                print(f"{shown(row['key'])}  is tried again")
            for key in left:
                print(f"{shown(key)}  is not dead, or not there")
        if left:
            raise typer.Exit(NO)
