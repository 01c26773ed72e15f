"""Implements `tillkeeper check`, which says on one page whether everything is ready."""

import asyncio
import logging
import shutil
import textwrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tillkeeper.cli.broker import Management
from tillkeeper.cli.errors import NO, reported
from tillkeeper.cli.options import AsJson, Config, exits, name_file

if TYPE_CHECKING:
    from tillkeeper.cli.readiness.finding import ReadinessFinding

app = typer.Typer()

STATE_COLUMNS: Final = 7
WHAT_COLUMNS: Final = 22
COLUMNS_MIN: Final = 60

Live = Annotated[bool, typer.Option("--live", help="Make one harmless call to each account's gateway, too.")]


@app.command(
    "check",
    epilog=exits(
        yes="everything is ready",
        no="something is wrong, or left to do",
        needs_servers=False,
        example="tillkeeper check --config /etc/tillkeeper/tillkeeper.toml --live",
    ),
)
def check_command(
    live: Live = False, management: Management = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Say whether everything is ready: settings, secrets, database, broker, accounts, mail, clocks.

    Each line is ok, off (not configured, or not looked at), to do, or wrong, with what to do about it.  Changes
    nothing, sends nothing, and shows no secret.  Run it as the user that Tillkeeper runs as.
    """
    with reported(as_json=as_json):
        name_file(config)
        from tillkeeper.cli.output import print_json, shown

        found = asyncio.run(_collected(live=live, management=management))
        is_ready = all(finding.is_ready for finding in found)
        if as_json:
            lines = [{"what": one.what, "state": one.state, "says": shown(one.says), "do": one.do} for one in found]
            print_json({"ready": is_ready, "lines": lines})
        else:
            for finding in found:
                _print(finding)
            left = sum(not finding.is_ready for finding in found)
            print(f"\n{'Everything is ready.' if is_ready else f'{left} of {len(found)} lines are left to do.'}")
        if not is_ready:
            raise typer.Exit(NO)


async def _collected(*, live: bool, management: str | None) -> list["ReadinessFinding"]:
    import structlog

    from tillkeeper.cli.readiness.looking import findings

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # lines say it all
    return [finding async for finding in findings(live=live, management=management)]


def _print(finding: "ReadinessFinding") -> None:
    from tillkeeper.cli.output import shown

    width = max(COLUMNS_MIN, shutil.get_terminal_size((120, 24)).columns)
    head = f"{finding.state:<{STATE_COLUMNS}}{finding.what:<{WHAT_COLUMNS}}"
    indent = " " * (STATE_COLUMNS + WHAT_COLUMNS)
    print(_wrapped(f"{head} {shown(finding.says)}", f"{indent} ", width))
    if finding.do:
        print(_wrapped(f"{indent} -> {finding.do}", f"{indent}    ", width))


def _wrapped(text: str, indent: str, width: int) -> str:
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
