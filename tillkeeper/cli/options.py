"""Defines the options, exit codes and settings that commands share."""

import getpass
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tillkeeper.cli.errors import WRONG, CommandError
from tillkeeper.cli.output import use_zone

if TYPE_CHECKING:
    from tillkeeper.domain.policy import Policy
    from tillkeeper.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="PATH", help="The TOML file with the settings; else TILLKEEPER_CONFIG names it."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs; an error is then JSON on standard error, too.")
]
Tied = Annotated[bool, typer.Option("--tied", hidden=True, help="Stop when standard input ends, as for a child.")]

UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
SECONDS_MAX: Final = 366 * 86400  # a longer one is a mistake


def exits(*, yes: str = "done", no: str | None = None, needs_servers: bool = True, example: str) -> str:
    """Writes the end of a command's help: its exit codes and an example."""
    codes = {
        0: yes,
        1: no,
        2: "wrong usage or bad configuration",
        3: "the database or the broker is out of reach" if needs_servers else None,
        4: "the database has a schema that this version cannot serve" if needs_servers else None,
    }
    lines = [f"  {code}  {meaning}" for code, meaning in codes.items() if meaning]
    return "\n".join(["\b", "Example:", f"  {example}", "", "\b", "Exit codes:", *lines])


def settings_from(config: Path | None) -> "Settings":
    """Loads the settings, whose zone times are shown in; child processes find the same file."""
    from tillkeeper.settings import BadSettings, load_settings

    name_file(config)
    try:
        settings = load_settings()
    except BadSettings as error:
        raise CommandError(*error.problems, code=WRONG) from None
    use_zone(settings.notify.time_zone)
    return settings


def serving_settings_from(config: Path | None) -> "Settings":
    """Loads the settings of a process that needs the policy, which must be valid."""
    from tillkeeper.tracing.settings import NotInstalled, refuse_missing

    settings = settings_from(config)
    try:
        refuse_missing(settings.tracing)
    except NotInstalled as error:
        raise CommandError(str(error), code=WRONG) from None
    policy_from(settings)
    return settings


def policy_from(settings: "Settings") -> "Policy":
    """Loads the policy that the settings name; a bad policy is reported as a bad setting."""
    from tillkeeper.policy import BadPolicy, load_policy

    try:
        return load_policy(settings.policy, settings.accounts)
    except BadPolicy as error:
        raise CommandError(*(f"policy: {problem}" for problem in error.problems), code=WRONG) from None


def name_file(config: Path | None) -> None:
    """Sets the environment variable to the option's file, for this process and its children."""
    if config is not None:
        os.environ["TILLKEEPER_CONFIG"] = str(config.absolute())


def seconds(text: str) -> float:
    """Parses a span such as 60s, 5m, 2h or 0.  Raises what typer reports as wrong usage."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of time; write 60s, 5m or 2h")
    if (span := int(found[1]) * UNITS_S[found[2]]) > SECONDS_MAX:
        raise typer.BadParameter(f"{text!r} is more than a year")
    return float(span)


def unicode(text: str) -> str:
    """Refuses text that a database cannot hold: bytes of the command line that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("is not UTF-8 text") from None
    return text


By = Annotated[str | None, typer.Option("--by", metavar="NAME", parser=unicode, help="Who does it; else the OS user.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", parser=unicode, help="Why; it is kept.")]


def os_user() -> str:
    """Returns the operating system's name for whoever runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def person(by: str | None) -> str:
    """Returns who acts: the given name, or the OS user.  The names that Tillkeeper itself acts under are refused."""
    from tillkeeper.domain.people import RESERVED_NAMES

    name = (by if by is not None else os_user()).strip()
    if not name or name.lower() in RESERVED_NAMES:
        raise typer.BadParameter(f"{name!r} is no person's name", param_hint="--by")
    return name


def reason(note: str) -> str:
    """Returns the note of an act, which must say why."""
    if not note.strip():
        raise typer.BadParameter("say why", param_hint="--note")
    return note.strip()
