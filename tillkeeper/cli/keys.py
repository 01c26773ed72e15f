"""Implements `tillkeeper keys`, which shows the keys of each account in use, and which are safe to remove."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.accounts.keys import KeyUse

app = typer.Typer()

RESTS_AFTER_DAYS: Final = 7  # gateways repeat for up to three days, and may repeat the old signature


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

        async def query(pool: "Pool") -> "list[KeyUse]":
            async with pool.acquire() as conn:
                return await key_uses(conn)

        uses = ask(settings, query)
        configured = {name: gateway.key_labels() for name, gateway in settings.build_gateways().items()}
        rows = key_rows(configured, uses, now=clock.now())
        if as_json:
            print_json({"keys": rows})
            return
        columns = ["account", "key", "deliveries", "last_at", "says"]
        print_table("Keys", columns, ([row[name] for name in columns] for row in rows))


def key_rows(configured: dict[str, tuple[str, ...]], uses: "list[KeyUse]", *, now: datetime) -> list[dict[str, Any]]:
    """Returns a row for each key that is configured, or was used and is no longer configured."""
    by_key = {(use.account, use.key): use for use in uses}
    rows = []
    for account, labels in sorted(configured.items()):
        used = {label: by_key.get((account, label)) for label in labels}
        works = any(use is not None and (now - use.last_at).days < RESTS_AFTER_DAYS for use in used.values())
        for label, use in used.items():
            rows.append(_row(account, label, use, _verdict(use, now, only=len(labels) == 1, works=works)))
    gone = [use for use in uses if use.key not in configured.get(use.account, ())]
    return rows + [_row(use.account, use.key, use, "not configured any more") for use in gone]


def _verdict(use: "KeyUse | None", now: datetime, *, only: bool, works: bool) -> str:
    if use is None:
        return "never used" + ("" if only or not works else " since this table began; another key is in use")
    days = (now - use.last_at).days
    if days < RESTS_AFTER_DAYS:
        return "in use"
    rests = f"not used for {days} days"
    return f"{rests}, safe to remove" if works and not only else f"{rests}, and no other key is in use"


def _row(account: str, key: str, use: "KeyUse | None", says: str) -> dict[str, Any]:
    return {
        "account": account,
        "key": key,
        "deliveries": 0 if use is None else use.deliveries,
        "first_at": None if use is None else use.first_at,
        "last_at": None if use is None else use.last_at,
        "says": says,
    }
