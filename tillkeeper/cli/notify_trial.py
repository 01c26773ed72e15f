"""Implements `tillkeeper notify test`, which sends a test notice through each channel and tells what came back."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, exits, person, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.notices.trial import Tried
    from tillkeeper.settings import Settings

OfChannels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        metavar="NAME",
        parser=unicode,
        help="Through this alone: mail, webhook:NAME, rabbitmq, ops.1[0], or webhook and ops for all of a kind.",
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="ADDRESS", parser=unicode, help="Whom the mail goes to; else notify.from_address."),
]
HELP = exits(
    yes="every channel took it",
    no="one did not",
    needs_servers=False,
    example="tillkeeper notify test --channel mail --to me@shop.example",
)


def try_channels_command(
    channel: OfChannels = None, to: To = None, by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Send a test notice through each configured channel, and tell what came back.

    To payers' mail server, to each of [notify.webhooks] (signed as every notice is, with the type notice.test), to the
    exchange of RabbitMQ, and to each address of [notify.ops].  Nothing is tried again, and no database is needed.
    """
    who = person(by)
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.output import TextStyle, Toned, print_json, print_table

        _check(settings, to)
        tried = asyncio.run(_send(settings, channel or (), to=to, by=who))
        if as_json:
            import msgspec

            print_json({"channels": [msgspec.structs.asdict(each) for each in tried]})
        else:
            rows = (
                (each.channel, "ok" if each.taken else Toned("FAILED", TextStyle.ALARM), each.said) for each in tried
            )
            print_table("Test notice", ("channel", "", "said"), rows)
        if not all(each.taken for each in tried):
            raise typer.Exit(NO)


def _check(settings: "Settings", to: str | None) -> None:
    from tillkeeper.notices.addresses import is_mail_address

    if to is not None and not is_mail_address(to):
        raise CommandError("--to must be one mail address such as me@shop.example", code=WRONG)
    if settings.notify.ops:
        from tillkeeper.notices.ops import unknown

        if problems := unknown(settings.notify):
            raise CommandError(*problems, code=WRONG)


async def _send(settings: "Settings", wanted: Sequence[str], *, to: str | None, by: str) -> "list[Tried]":
    from tillkeeper import clock
    from tillkeeper.notices.channels import open_channels
    from tillkeeper.notices.trial import channel_names, send_test

    async with open_channels(
        settings.notify, broker_url=settings.broker_url, broker_prefix=settings.broker_prefix
    ) as channels:
        names = channel_names(channels)
        if not names:
            raise CommandError("no channel is configured; [notify] in deploy/tillkeeper.toml explains each", code=WRONG)
        for each in wanted:
            if not _named(names, each):
                raise CommandError(f"there is no channel {each!r}; there are: {', '.join(names)}", code=WRONG)
        chosen = [name for name in names if not wanted or any(_named([name], each) for each in wanted)]
        return await send_test(channels, settings.notify, chosen, to=to, by=by, now=clock.now())


def _named(names: Sequence[str], wanted: str) -> bool:
    """Returns True where one of the names is this, or is of this kind."""
    return any(name == wanted or name.partition(":")[0].partition(".")[0] == wanted for name in names)
