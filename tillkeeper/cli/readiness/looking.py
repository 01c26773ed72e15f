"""Looks at everything, one subject after the other, and collects the lines."""

from collections.abc import AsyncIterator

from tillkeeper.cli.readiness import accounts, broker, company, configuration, database, notices, public_url, tracing
from tillkeeper.cli.readiness.finding import ReadinessFinding
from tillkeeper.settings import LoadedSettings, Settings, look_at_settings


async def findings(*, live: bool, management: str | None) -> AsyncIterator[ReadinessFinding]:
    """Yields all lines, in the order in which things are set up."""
    look = look_at_settings()
    for finding in (*configuration.configuration(look), *configuration.secrets(look)):
        yield finding
    if look.settings is not None:
        async for finding in _rest(look.settings, look, live=live, management=management):
            yield finding


async def _rest(
    settings: Settings, look: LoadedSettings, *, live: bool, management: str | None
) -> AsyncIterator[ReadinessFinding]:
    yield configuration.policy(settings, look)
    for finding in configuration.shadow(settings):
        yield finding
    async for finding in database.database(settings):
        yield finding
    async for finding in broker.broker(settings, management=management):
        yield finding
    async for finding in accounts.accounts(settings, live=live):
        yield finding
    yield await public_url.public_url(settings)
    yield await company.company(settings.desk)
    async for finding in notices.mail(settings.notify):
        yield finding
    yield notices.webhooks(settings.notify)
    for finding in notices.ops(settings.notify):
        yield finding
    yield await tracing.tracing(settings.tracing)
