"""Implements `tillkeeper user`: who may use the desk, in which role, and with which links and tokens."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from tillkeeper.cli.changing_people import change, in_transaction, known
from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, exits, person, reason, seconds, settings_from, unicode
from tillkeeper.domain.people import DISPLAY_NAME_CHARS_MAX, LINK_PATH, BadName, Locale, Role, Scope, folded, name_of

if TYPE_CHECKING:
    from tillkeeper.settings import Settings
    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()
commands = typer.Typer(
    help="Who may use the desk, in which role, and with which links and tokens.", no_args_is_help=True
)
tokens = typer.Typer(help="Tokens with which programs use the desk in a person's name.", no_args_is_help=True)
app.add_typer(commands, name="user")
commands.add_typer(tokens, name="tokens")

TOKEN_LIVES: Final = timedelta(days=90)  # a quarter; whoever wants longer says so
LOG_LINES_MAX: Final = 10_000
TOKEN_NAME_CHARS_MAX: Final = 100  # as the database limits it

Name = Annotated[str, typer.Argument(metavar="NAME", parser=unicode, help="The name that the person signs in with.")]
RoleOption = Annotated[
    Role, typer.Option("--role", help="viewer looks, support also acts on cases, operator on money, admin on all.")
]
NewRole = Annotated[Role, typer.Argument(metavar="ROLE", help="viewer, support, operator or admin.")]
DisplayName = Annotated[
    str | None, typer.Option("--display-name", metavar="TEXT", parser=unicode, help="As pages name them; else NAME.")
]
LocaleOption = Annotated[str, typer.Option("--locale", metavar="zh|en", help="The language of their pages.")]
Why = Annotated[str, typer.Option("--note", metavar="TEXT", parser=unicode, help="Why; it is kept.")]
TokenName = Annotated[
    str, typer.Argument(metavar="TOKEN", parser=unicode, help="The token's name, which says what it is for.")
]
Only = Annotated[
    str | None,
    typer.Option("--only", metavar="SCOPE", help="It is for this alone: health, whether accounts can be paid at."),
]
MayAct = Annotated[bool, typer.Option("--may-act", help="It may also act; without this it only reads.")]
Expires = Annotated[
    float | None,
    typer.Option("--expires", metavar="SPAN", parser=seconds, help="How long it is good for: 90d, or up to 366d."),
]
Whose = Annotated[
    str | None, typer.Argument(metavar="[NAME]", parser=unicode, help="Of this person alone.", show_default=False)
]
Person = Annotated[
    str | None, typer.Option("--person", metavar="NAME", parser=unicode, help="What this person did and looked at.")
]
Subject = Annotated[
    str | None, typer.Option("--about", metavar="TEXT", parser=unicode, help="About this: an order, a person, a case.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LOG_LINES_MAX, help="The latest so many.")]


@commands.command(
    "add",
    epilog=exits(no="somebody has this name, perhaps disabled", example="tillkeeper user add mei --role operator"),
)
def add_command(
    name: Name,
    role: RoleOption,
    display_name: DisplayName = None,
    locale: LocaleOption = "zh",
    by: By = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add a person, and print a one-time link with which they set a password and sign in; it is good for 24 hours.

    Where passwords are off ([desk.oidc]), no link is printed: `tillkeeper user link` ties them to their account.
    """
    with reported(as_json=as_json):
        from tillkeeper.store.people.links import make_link
        from tillkeeper.store.people.people import NameTaken, add_person

        new, doer, shown_as = _new_name(name), person(by), (display_name or name).strip()
        language = _locale(locale)
        if not 1 <= len(shown_as) <= DISPLAY_NAME_CHARS_MAX:
            raise typer.BadParameter(f"has 1 to {DISPLAY_NAME_CHARS_MAX} characters", param_hint="--display-name")

        takes_passwords = settings_from(config).desk.takes_passwords

        async def work(conn: "Conn", now: datetime) -> str | None:
            await add_person(conn, name=new, display_name=shown_as, role=role, locale=language, by=doer, now=now)
            return await make_link(conn, new, by=doer, now=now) if takes_passwords else None

        try:
            settings, token = in_transaction(config, work)
        except NameTaken:
            raise CommandError(
                f"there is a person named {new} already; `user list` shows them, `user reset {new}` makes a link",
                code=NO,
            ) from None
        if token is None:
            _print_added(new, as_json=as_json)
        else:
            _print_link(settings, new, token, as_json=as_json)


@commands.command("list", epilog=exits(example="tillkeeper user list"))
def list_command(config: Config = None, as_json: AsJson = False) -> None:
    """List everybody who may use the desk, with their roles; disabled ones stand last."""
    with reported(as_json=as_json):
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.people.people import list_people

        _, found = in_transaction(config, lambda conn, now: list_people(conn, now=now))
        rows = [msgspec.structs.asdict(each) for each in found]
        if as_json:
            print_json({"people": rows})
            return
        columns = ("name", "display_name", "role", "locale", "has_password", "has_account", "last_seen_at", "tokens")
        print_table(
            "People",
            ("name", "shown as", "role", "language", "password", "account", "seen last", ">tokens", "disabled"),
            ([_said(row[column]) for column in (*columns, "disabled_at")] for row in rows),
        )
        print(f"{len(rows)} in all." if rows else "There is nobody: tillkeeper user add NAME --role admin")


@commands.command("role", epilog=exits(no="there is nobody of this name", example="tillkeeper user role mei operator"))
def role_command(
    name: Name, role: NewRole, note: Why = "", by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Give a person another role.  Their sessions end, and they sign in again."""
    from tillkeeper.store.people.people import set_role

    who, doer = folded(name), person(by)
    change(
        who,
        lambda conn, now: set_role(conn, who, role, by=doer, why=note.strip(), now=now),
        config,
        done=f"has the role {role}",
        already=f"had the role {role} already",
        as_json=as_json,
    )


@commands.command(
    "disable", epilog=exits(no="there is nobody of this name", example='tillkeeper user disable mei --note "left"')
)
def disable_command(name: Name, note: Why, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """End all that a person may do at the desk, at once: sessions, links and tokens.  Their name stays theirs."""
    from tillkeeper.store.people.people import disable

    who, doer, why = folded(name), person(by), reason(note)
    change(
        who,
        lambda conn, now: disable(conn, who, by=doer, why=why, now=now),
        config,
        done="is disabled",
        already="was disabled before",
        as_json=as_json,
    )


@commands.command(
    "enable", epilog=exits(no="there is nobody of this name", example='tillkeeper user enable mei --note "is back"')
)
def enable_command(name: Name, note: Why, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Let a disabled person sign in again, with the password and the tokens that they had."""
    from tillkeeper.store.people.people import enable

    who, doer, why = folded(name), person(by), reason(note)
    change(
        who,
        lambda conn, now: enable(conn, who, by=doer, why=why, now=now),
        config,
        done="may sign in again",
        already="was not disabled",
        as_json=as_json,
    )


@commands.command(
    "reset", epilog=exits(no="there is nobody of this name, or they are disabled", example="tillkeeper user reset mei")
)
def reset_command(name: Name, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print a one-time link with which a person sets a new password; it is good for 24 hours.

    The password that they have goes on until the link is used.  A link that was made before is over.
    """
    with reported(as_json=as_json):
        from tillkeeper.store.people.links import make_link

        who, doer = folded(name), person(by)
        if not settings_from(config).desk.takes_passwords:
            raise CommandError("passwords are off (desk.oidc.passwords), so that a link signs nobody in", code=NO)
        with known(who):
            settings, token = in_transaction(config, lambda conn, now: make_link(conn, who, by=doer, now=now))
        _print_link(settings, who, token, as_json=as_json)


@commands.command("log", epilog=exits(example="tillkeeper user log --about ORDER-1"))
def log_command(
    who: Person = None, about: Subject = None, limit: Limit = 50, config: Config = None, as_json: AsJson = False
) -> None:
    """Show what people did at the desk and which personal data they looked at, the latest first."""
    with reported(as_json=as_json):
        from tillkeeper.cli.output import cells, print_json, print_table
        from tillkeeper.store.people.log import read_log

        name = folded(who) if who is not None else None
        _, found = in_transaction(config, lambda conn, _: read_log(conn, person=name, subject=about, limit=limit))
        rows = [msgspec.structs.asdict(each) for each in found]
        if as_json:
            print_json({"log": rows})
            return
        columns = ("at", "kind", "person", "token", "what", "subject", "why")
        print_table(
            "Log", ("at", "kind", "who", "token", "what", "about", "why"), (cells(row, *columns) for row in rows)
        )
        if not rows:
            print("There is no such entry.")


@tokens.command("list", epilog=exits(example="tillkeeper user tokens list"))
def tokens_command(whose: Whose = None, config: Config = None, as_json: AsJson = False) -> None:
    """List tokens: whose they are, what they may, and when they were used last."""
    with reported(as_json=as_json):
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.people.tokens import list_tokens

        name = folded(whose) if whose is not None else None
        _, found = in_transaction(config, lambda conn, _: list_tokens(conn, name))
        rows = [msgspec.structs.asdict(each) for each in found]
        if as_json:
            print_json({"tokens": rows})
            return
        columns = ("person", "name", "role", "may_act", "scope", "last_used_at", "expires_at", "ended_at")
        print_table(
            "Tokens",
            ("person", "token", "role", "acts", "only", "used last", "expires", "ended"),
            ([_said(row[column]) for column in columns] for row in rows),
        )
        print(f"{len(rows)} in all." if rows else "There is none.")


@tokens.command(
    "add",
    epilog=exits(
        no="there is nobody of this name, or the token's name is taken",
        example="tillkeeper user tokens add mei exports --role viewer --expires 90d",
    ),
)
def add_token_command(
    name: Name,
    token: TokenName,
    role: RoleOption = Role.VIEWER,
    may_act: MayAct = False,
    only: Only = None,
    expires: Expires = None,
    by: By = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for a program, and print it: nobody can read it again.

    It may do what its role and its person's role both allow, and ends when the person is disabled.
    """
    with reported(as_json=as_json):
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.people.tokens import TokenNameTaken, TooManyTokens, make_token

        who, doer, label, scope = folded(name), person(by), token.strip(), _scope(only)
        if not 1 <= len(label) <= TOKEN_NAME_CHARS_MAX or expires == 0.0:
            raise typer.BadParameter(
                f"has a name of 1 to {TOKEN_NAME_CHARS_MAX} characters, and some time to live", param_hint="TOKEN"
            )

        async def work(conn: "Conn", now: datetime) -> str:
            expires_at = now + (TOKEN_LIVES if expires is None else timedelta(seconds=expires))
            return await make_token(
                conn,
                who,
                name=label,
                role=role,
                may_act=may_act,
                scope=scope,
                expires_at=expires_at,
                by=doer,
                now=now,
            )

        try:
            with known(who):
                _, made = in_transaction(config, work)
        except TokenNameTaken:
            raise CommandError(f"{who} has or had a token named {label}; choose another name", code=NO) from None
        except TooManyTokens:
            raise CommandError(f"{who} has as many tokens as anybody may; end one first", code=NO) from None
        if as_json:
            print_json({"person": who, "name": label, "role": role, "may_act": may_act, "scope": scope, "token": made})
        else:
            print(made)


@tokens.command(
    "end",
    epilog=exits(no="there is no such token that goes on", example="tillkeeper user tokens end mei exports"),
)
def end_token_command(
    name: Name, token: TokenName, by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """End a token, at once."""
    with reported(as_json=as_json):
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.people.tokens import end_token

        who, doer, label = folded(name), person(by), token.strip()
        _, done = in_transaction(config, lambda conn, now: end_token(conn, who, label, by=doer, now=now))
        if not done:
            raise CommandError(f"{who} has no token {label} that goes on; `user tokens list` shows all", code=NO)
        if as_json:
            print_json({"person": who, "name": label, "ended": True})
        else:
            print(f"{label} of {who} is over")


def _print_added(name: str, *, as_json: bool) -> None:
    """Says that somebody is added, where a link would sign nobody in."""
    from tillkeeper.cli.output import print_json

    if as_json:
        print_json({"person": name, "link": None})
    else:
        print(f"{name} is added; passwords are off, so tie them to their account: tillkeeper user link {name} SUBJECT")


def _print_link(settings: "Settings", name: str, token: str, *, as_json: bool) -> None:
    """Prints a one-time link, which only its person should see."""
    from tillkeeper.cli.output import print_json

    link = f"{desk_url(settings)}{LINK_PATH}/{token}"
    if as_json:
        print_json({"person": name, "link": link})
    else:
        print(f"{name} sets a password and signs in, once, within 24 hours:")
        print(link)


def desk_url(settings: "Settings") -> str:
    """Returns where browsers find the desk."""
    desk = settings.desk
    if desk.public_url is not None:
        return desk.public_url.rstrip("/")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(desk.host, desk.host)
    return f"http://{f'[{host}]' if host.count(':') > 1 and host[0] != '[' else host}:{desk.port}"


def _new_name(text: str) -> str:
    try:
        return name_of(text)
    except BadName as refused:
        raise typer.BadParameter(str(refused), param_hint="NAME") from None


def _locale(text: str) -> Locale:
    if text not in ("en", "zh"):
        raise typer.BadParameter("is zh or en", param_hint="--locale")
    return "zh" if text == "zh" else "en"


def _scope(only: str | None) -> Scope | None:
    if only not in (None, "health"):
        raise typer.BadParameter("is health", param_hint="--only")
    return None if only is None else "health"


def _said(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
