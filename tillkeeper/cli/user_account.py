"""Implements `tillkeeper user link` and `unlink`: with which account of their company a person comes in."""

from typing import TYPE_CHECKING, Annotated

import typer

from tillkeeper.cli.changing_people import change
from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, exits, person, settings_from, unicode
from tillkeeper.cli.user import Name, Why, commands
from tillkeeper.domain.company_account import SUBJECT_CHARS_MAX
from tillkeeper.domain.people import folded

if TYPE_CHECKING:
    from datetime import datetime

    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()  # its commands are those of `user`

Subject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", parser=unicode, help="The provider's number of the person; `user log` shows who was refused."
    ),
]


@commands.command(
    "link",
    epilog=exits(
        no="there is nobody of this name, or the account is somebody else's",
        example="tillkeeper user link mei 00u1x2y3z4",
    ),
)
def link_command(
    name: Name, subject: Subject, note: Why = "", by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Let a person come in with their company's account, at the provider of [desk.oidc], as themselves.

    Their role is then what the provider gives, at each sign-in; with their password it is what it was.
    """
    with reported(as_json=as_json):
        from tillkeeper.store.people.members import SubjectTaken, link_account

        who, doer, number = folded(name), person(by), subject.strip()
        if not number.isprintable() or not 1 <= len(number) <= SUBJECT_CHARS_MAX:
            raise typer.BadParameter(f"has 1 to {SUBJECT_CHARS_MAX} printable characters", param_hint="SUBJECT")
        oidc = settings_from(config).desk.oidc
        if oidc is None:
            raise CommandError("no provider is configured: name it in [desk.oidc], and link people then", code=NO)

        async def work(conn: "Conn", now: "datetime") -> bool:
            return await link_account(conn, who, oidc.issuer, number, by=doer, why=note.strip(), now=now)

        try:
            change(
                who,
                work,
                config,
                done="comes in with that account",
                already="had that account already",
                as_json=as_json,
            )
        except SubjectTaken as taken:
            raise CommandError(
                f"{taken.name} comes in with that account; `user unlink {taken.name}` ends that", code=NO
            ) from None


@commands.command(
    "unlink", epilog=exits(no="there is nobody of this name", example='tillkeeper user unlink mei --note "mistaken"')
)
def unlink_command(name: Name, note: Why = "", by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let a person no longer come in with their company's account as themselves; what it opened ends."""
    from tillkeeper.store.people.members import unlink_account

    who, doer = folded(name), person(by)
    change(
        who,
        lambda conn, now: unlink_account(conn, who, by=doer, why=note.strip(), now=now),
        config,
        done="has no account of the company any more",
        already="had none",
        as_json=as_json,
    )
