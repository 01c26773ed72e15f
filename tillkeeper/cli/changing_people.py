"""Changes who may use the desk, for the commands of `tillkeeper user`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.options import settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.settings import Settings
    from tillkeeper.store.postgres.pool import Conn

Result = TypeVar("Result")


def change(
    name: str,
    work: "Callable[[Conn, datetime], Awaitable[bool]]",
    config: Path | None,
    *,
    done: str,
    already: str,
    as_json: bool,
) -> None:
    """Changes a person, and says whether that was new."""
    with reported(as_json=as_json):
        from tillkeeper.cli.output import print_json, shown

        with known(name):
            _, is_new = in_transaction(config, work)
        if as_json:
            print_json({"person": name, "changed": is_new})
        else:
            print(f"{shown(name)} {done if is_new else already}")


@contextmanager
def known(name: str) -> Iterator[None]:
    """Raises CommandError where there is nobody of this name."""
    from tillkeeper.store.people.people import NoSuchPerson

    try:
        yield
    except NoSuchPerson:
        raise CommandError(f"there is nobody named {name} who may sign in; `user list` shows all", code=NO) from None


def in_transaction(
    config: Path | None, work: "Callable[[Conn, datetime], Awaitable[Result]]"
) -> "tuple[Settings, Result]":
    """Runs work in a transaction of its own, and returns the settings with what it returned."""
    settings = settings_from(config)
    from tillkeeper import clock
    from tillkeeper.cli.database import ask
    from tillkeeper.store.postgres.transactions import repeat_on_conflict

    async def query(pool: "Pool") -> Result:
        return await repeat_on_conflict(pool, lambda conn: work(conn, clock.now()))

    return settings, ask(settings, query)
