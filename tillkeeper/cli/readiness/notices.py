"""Looks at what tells people: the mail server, the merchant's systems, and ops messages.  Nothing is sent."""

from collections.abc import AsyncIterator, Iterator

from tillkeeper.cli.readiness.finding import ReadinessFinding, off, ok, wrong
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.notices.smtp import SmtpChannel


async def mail(settings: NotifySettings) -> AsyncIterator[ReadinessFinding]:
    """Yields the line about mail to payers: logs in, names the sender, and leaves."""
    if settings.smtp is None or settings.from_address is None:
        yield off("mail", "none is configured: no payer is told anything", "[notify.smtp] in deploy/tillkeeper.toml")
        return
    server = f"{settings.smtp.host}:{settings.smtp.port}"
    refusal = await SmtpChannel(settings.smtp).look(sender=settings.from_address)
    if refusal is not None:
        yield wrong("mail", f"{server}: {refusal}", "correct [notify.smtp]: host, port, security, username, password")
    else:
        yield ok("mail", f"{server} takes mail from {settings.from_address}")


def webhooks(settings: NotifySettings) -> ReadinessFinding:
    """Returns the line about the merchant's systems."""
    if not settings.webhooks:
        return off(
            "notices", "none of your systems is told of changes", "[notify.webhooks.NAME] in deploy/tillkeeper.toml"
        )
    return ok("notices", f"signed and posted to {', '.join(sorted(settings.webhooks))}")


def ops(settings: NotifySettings) -> Iterator[ReadinessFinding]:
    """Yields the lines about ops messages."""
    from tillkeeper.notices.ops import unknown

    if not settings.ops:
        yield off("ops messages", "nobody is told of cases", "[notify.ops] in deploy/tillkeeper.toml")
        return
    problems = unknown(settings)
    for problem in problems:
        yield wrong("ops messages", problem, "spell it as apprise does: mailtos://, slack://, dingtalk://, wecombot://")
    if not problems:
        levels = ", ".join(f"level {level}: {len(urls)}" for level, urls in sorted(settings.ops.items()))
        yield ok("ops messages", f"addresses for {levels}")
