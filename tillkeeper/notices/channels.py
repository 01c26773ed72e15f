"""Every channel that the settings open, by who is told through it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Any

import msgspec

from tillkeeper.notices.cooldown import Channel, WithCooldown
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.notices.smtp import SmtpChannel


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """What is open.  `ops` by level."""

    mail: SmtpChannel | None = None
    merchant: tuple[Channel, ...] = ()
    ops: Mapping[int, tuple[Channel, ...]] = MappingProxyType({})

    def for_ops(self, level: Any) -> tuple[Channel, ...]:
        """Those of the highest configured level that is not above this one; of the lowest where all are."""
        if not self.ops:
            return ()
        wanted = level if type(level) is int else 1
        return self.ops[max((it for it in self.ops if it <= wanted), default=min(self.ops))]


@asynccontextmanager
async def open_channels(
    settings: NotifySettings, *, broker_url: str | None, broker_prefix: str
) -> AsyncIterator[Channels]:
    """All channels of the settings, closed at the end.  Never fails for what is out of reach."""
    from tillkeeper.notices.exchange import ExchangeChannel  # noqa: PLC0415
    from tillkeeper.notices.webhook import open_webhooks  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        merchant: list[Channel] = []
        if settings.webhooks:
            merchant += map(WithCooldown, await stack.enter_async_context(open_webhooks(settings)))
        if broker_url is not None:
            exchange = await ExchangeChannel.open(broker_url, broker_prefix)
            stack.push_async_callback(exchange.close)
            merchant.append(exchange)
        yield Channels(
            mail=SmtpChannel(settings.smtp) if settings.smtp is not None else None,
            merchant=tuple(merchant),
            ops=_ops(settings),
        )


def _ops(settings: NotifySettings) -> dict[int, tuple[Channel, ...]]:
    if not any(settings.ops.values()):
        return {}
    from tillkeeper.notices.ops import ops_channels  # noqa: PLC0415 - apprise, for those alone who use it

    return {
        level: tuple(map(WithCooldown, ops_channels(level, urls, settings)))
        for level, urls in settings.ops.items()
        if urls
    }
