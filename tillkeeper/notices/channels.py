"""Opens the channels that the settings configure, by audience."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Any

import msgspec

from tillkeeper.notices.cooldown import Channel, WithCooldown
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.notices.smtp import SmtpChannel


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """The open channels; those of `ops` by level."""

    mail: SmtpChannel | None = None
    merchant: tuple[Channel, ...] = ()
    ops: Mapping[int, tuple[Channel, ...]] = MappingProxyType({})

    def for_ops(self, level: Any) -> tuple[Channel, ...]:
        """Returns the channels of the highest configured level up to this one; of the lowest where all are above."""
        if not self.ops:
            return ()
        wanted = level if type(level) is int else 1
        return self.ops[max((configured for configured in self.ops if configured <= wanted), default=min(self.ops))]


@asynccontextmanager
async def open_channels(
    settings: NotifySettings, *, broker_url: str | None, broker_prefix: str
) -> AsyncIterator[Channels]:
    """Opens all channels of the settings, and closes them at the end.  A channel that cannot be reached is no error."""
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
