"""Implements `tillkeeper init`, which writes the files of a new installation."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from tillkeeper.cli.errors import WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, exits

if TYPE_CHECKING:
    from tillkeeper.scaffold.plan import ScaffoldPlan, Target

app = typer.Typer()


class Question(msgspec.Struct, frozen=True):
    """What is asked for an option that is not given."""

    option: str
    text: str
    default: str = ""


DATABASE_URL: Final = Question("--database-url", "PostgreSQL", "postgresql://tillkeeper@127.0.0.1:5432/tillkeeper")
BROKER_URL: Final = Question("--broker-url", "RabbitMQ, as amqp://user:password@host:5672/vhost; nothing for none")
PUBLIC_URL: Final = Question("--public-url", "Where gateways reach this receiver", "https://pay.example.com")
NOTICES_URL: Final = Question(
    "--notices-url", "The webhook of your own system, to hear of every change; nothing for none"
)
GATEWAYS_WANTED: Final = Question("--gateway", "Which of them, with spaces between")

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; it is made if it is not there.")]
Gateways = Annotated[
    list[str] | None, typer.Option("--gateway", metavar="NAME", help="A gateway to have an account at; repeat it.")
]
For = Annotated[
    str, typer.Option("--for", metavar="WAY", help="run: by hand; systemd: units as well; compose: containers as well.")
]
Database = Annotated[str | None, typer.Option("--database-url", metavar="URL", help="PostgreSQL, if it is there.")]
Broker = Annotated[
    str | None, typer.Option("--broker-url", metavar="URL", help="RabbitMQ; without it PostgreSQL alone is used.")
]
PublicUrl = Annotated[str | None, typer.Option("--public-url", metavar="URL", help="Where gateways reach you.")]
Notices = Annotated[
    str | None, typer.Option("--notices-url", metavar="URL", help="Of your own system, to hear of every change.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what no option says is as by default.")]


@app.command(
    "init",
    epilog=exits(
        yes="the files are there",
        needs_servers=False,
        example="tillkeeper init /etc/tillkeeper --gateway stripe --gateway alipay --for systemd --yes",
    ),
)
def init_command(
    directory: Directory,
    gateway: Gateways = None,
    way: For = "run",
    database_url: Database = None,
    broker_url: Broker = None,
    public_url: PublicUrl = None,
    notices_url: Notices = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Write a small configuration, a policy, and a file with the secrets to fill in.

    Asks what no option says, where a person is there to answer.  Secrets that are our own are made.  Nothing that
    exists is overwritten.
    """
    with reported(as_json=as_json):
        asked = _Asked(by_person=not yes and not as_json and sys.stdin.isatty())
        from tillkeeper.scaffold.plan import ScaffoldPlan

        target = _target(way)
        of_servers = _Asked(by_person=asked.by_person and target != "compose")  # which brings its own
        plan = ScaffoldPlan(
            directory=directory.absolute(),
            target=target,
            gateways=_gateways(gateway, asked),
            database_url=of_servers.url(database_url, DATABASE_URL, "postgresql", "postgres"),
            broker_url=of_servers.url(broker_url, BROKER_URL, "amqp", "amqps") or None,
            public_url=asked.url(public_url, PUBLIC_URL, "https", "http").rstrip("/"),
            notices_url=asked.url(notices_url, NOTICES_URL, "https", "http") or None,
            program=Path(sys.argv[0]).absolute(),
        )
        _write(plan, as_json=as_json)


class _Asked(msgspec.Struct, frozen=True):
    """Answers what no option said: a person does, or the default."""

    by_person: bool

    def answer(self, question: "Question") -> str:
        if not self.by_person:
            return question.default
        return str(typer.prompt(question.text, default=question.default, show_default=bool(question.default)))

    def url(self, given: str | None, question: "Question", *schemes: str) -> str:
        """Returns a URL, or nothing where that is an answer.  Raises CommandError."""
        url = self.answer(question) if given is None else given
        if not url and not question.default:
            return url
        from pydantic import TypeAdapter, ValidationError

        from tillkeeper.settings.fields import url_of

        try:
            return TypeAdapter(Annotated[str, url_of(*schemes)]).validate_python(url)
        except ValidationError as error:
            why = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise CommandError(f"{question.option}: {why}", code=WRONG) from None


def _target(way: str) -> "Target":
    from tillkeeper.scaffold.plan import TARGETS

    for target in TARGETS:
        if way == target:
            return target
    raise CommandError(f"--for: {way!r} is no way to run; there are {', '.join(TARGETS)}", code=WRONG)


def _gateways(named: list[str] | None, asked: _Asked) -> tuple[str, ...]:
    """Returns the gateways, each once.  Raises CommandError."""
    from tillkeeper.gateways.registry import GATEWAYS

    known = ", ".join(sorted(GATEWAYS))
    if not named and asked.by_person:
        print(f"Gateways: {known}")
        named = asked.answer(GATEWAYS_WANTED).replace(",", " ").split()
    if not named:
        raise CommandError(f"name the gateways: --gateway stripe --gateway alipay; there are {known}", code=WRONG)
    if unknown := [name for name in named if name not in GATEWAYS]:
        raise CommandError(f"--gateway: {unknown[0]!r} is none that is known; there are {known}", code=WRONG)
    return tuple(dict.fromkeys(named))


def _write(plan: "ScaffoldPlan", *, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json
    from tillkeeper.scaffold.targets import files_of, next_commands, remarks
    from tillkeeper.scaffold.writing import write

    try:
        written, kept = write(files_of(plan))
    except OSError as error:
        raise CommandError(
            f"{error.filename or plan.directory} cannot be written: {error.strerror}", code=WRONG
        ) from None
    commands = next_commands(plan)
    if as_json:
        told = {"written": written, "kept": kept, "next": [command for command, _ in commands]}
        print_json({**told, "remarks": remarks(plan)})
        return
    for path in written:
        print(f"wrote {path}")
    for path in kept:
        print(f"kept  {path}, which was there")
    for remark in remarks(plan):
        print(f"but   {remark}")
    print("\nNext:")
    for number, (command, why) in enumerate(commands, start=1):
        print(f"  {number}. {command}\n     {why}")
