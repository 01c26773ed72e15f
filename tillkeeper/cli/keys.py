"""Implements `tillkeeper keys`, which shows the keys of each account in use, and which are safe to remove."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.accounts.keys import KeyUse
    from tillkeeper.store.reports.keys import KeyRow

app = typer.Typer()


@app.command("keys", epilog=exits(example="tillkeeper keys"))
def keys_command(config: Config = None, as_json: AsJson = False) -> None:
    """List the keys of each account by their labels: when each last verified a delivery, and whether it may go.

    A key is known by its setting, its place in the list, and a fingerprint, which tells an old one from a new one.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.accounts.keys import key_uses
        from tillkeeper.store.reports.keys import key_rows

        async def query(pool: "Pool") -> "list[KeyUse]":
            async with pool.acquire() as conn:
                return await key_uses(conn)

        uses = ask(settings, query)
        configured = {name: gateway.key_labels() for name, gateway in settings.build_gateways().items()}
        now = clock.now()
        rows = [_row(row, now) for row in key_rows(configured, uses, now=now)]
        if as_json:
            print_json({"keys": rows})
            return
        columns = ["account", "key", "deliveries", "last_at", "says"]
        print_table("Keys", columns, ([row[name] for name in columns] for row in rows))


def _row(row: "KeyRow", now: datetime) -> dict[str, Any]:
    from tillkeeper.domain.key_rotation import KeyVerdict

    rests = f"not used for {(now - row.last_at).days} days" if row.last_at is not None else ""
    says = {
        KeyVerdict.IN_USE: "in use",
        KeyVerdict.NEVER_USED: "never used",
        KeyVerdict.NOT_USED_YET: "never used since this table began; another key is in use",
        KeyVerdict.SAFE_TO_REMOVE: f"{rests}, safe to remove",
        KeyVerdict.ALONE_AND_RESTING: f"{rests}, and no other key is in use",
        KeyVerdict.NOT_CONFIGURED: "not configured any more",
    }
    return {
        "account": row.account,
        "key": row.key,
        "deliveries": row.deliveries,
        "first_at": row.first_at,
        "last_at": row.last_at,
        "says": says[row.verdict],
    }
