"""Sends a test notice through each configured channel, so that people see what comes back before it matters.

Nothing is written down for it, and nothing is tried again.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

import msgspec

from tillkeeper.domain.failures import Words
from tillkeeper.domain.order.notice_outcomes import Dead, Dropped, Failed, SendOutcome, Sent, Uncertain
from tillkeeper.notices.channels import Channels
from tillkeeper.notices.cooldown import Channel
from tillkeeper.notices.envelope import as_bytes
from tillkeeper.notices.mail import Mail
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.notices.smtp import SmtpChannel

TOPIC: Final = "notice.test"
MAIL: Final = "mail"
SUBJECT: Final = Words("测试邮件", "A test mail")
TEXT: Final = Words(
    "这是 Tillkeeper 的测试通知。收到它，说明这个渠道可用；不必理会。",
    "This is a test notice of Tillkeeper's. It shows that this channel works; there is nothing to do.",
)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from a channel."""

    channel: str
    taken: bool
    said: str


def channel_names(channels: Channels) -> list[str]:
    """Returns the names of the configured channels."""
    return [*([MAIL] if channels.mail is not None else []), *(channel.name for channel in _others(channels))]


async def send_test(
    channels: Channels, settings: NotifySettings, names: Sequence[str], *, to: str | None, by: str, now: datetime
) -> list[Tried]:
    """Sends to the channels of these names, all at once; a mail goes to `to`, or to the sender's own address."""
    outgoing = notice(settings, by=by, now=now)
    calls = [_try(channel, outgoing) for channel in _others(channels) if channel.name in names]
    if channels.mail is not None and MAIL in names:
        calls.insert(0, _try_mail(channels.mail, settings, to, now))
    return await asyncio.gather(*calls)


def notice(settings: NotifySettings, *, by: str, now: datetime) -> Outgoing:
    """Makes the notice; its id is new each time."""
    payload = {"text": _say(TEXT, settings), "by": by}
    return Outgoing(key=f"test/{uuid4()}", topic=TOPIC, payload=payload, version=None, created_at=now, sent_at=now)


def _others(channels: Channels) -> Iterator[Channel]:
    yield from channels.merchant
    for level in sorted(channels.ops):
        yield from channels.ops[level]


async def _try(channel: Channel, outgoing: Outgoing) -> Tried:
    return _tried(channel.name, await channel.send(outgoing))


async def _try_mail(channel: SmtpChannel, settings: NotifySettings, to: str | None, now: datetime) -> Tried:
    sender = settings.from_address
    assert sender is not None, "settings have asked for it"
    recipient = to or sender
    text = _say(TEXT, settings)
    mail = Mail(language=settings.default_locale, subject=_say(SUBJECT, settings), text=text, html=f"<p>{text}</p>")
    message = as_bytes(mail, key=f"test/{uuid4()}", to=recipient, settings=settings, now=now)

    async def before_data() -> None:
        """Marks nothing: a test mail may come twice."""

    return _tried(MAIL, await channel.send(message, sender=sender, to=recipient, before_data=before_data))


def _tried(name: str, outcome: SendOutcome) -> Tried:
    match outcome:
        case Sent():
            return Tried(channel=name, taken=True, said="it was taken")
        case Failed() | Dead() | Dropped() | Uncertain():
            return Tried(channel=name, taken=False, said=outcome.why)


def _say(words: Words, settings: NotifySettings) -> str:
    return words.zh if settings.default_locale == "zh-CN" else words.en
