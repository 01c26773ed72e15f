"""Applies events of queries and lists, so that one that cannot be applied holds up no other."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.postgres.sqlstates import is_contention, is_outage
from tillkeeper.workers.database_retry import Stopped

log = structlog.get_logger()


async def apply_all_or_each(
    apply: Callable[[Sequence[PaymentEvent]], Awaitable[None]], events: Sequence[PaymentEvent]
) -> list[PaymentEvent]:
    """Applies the events all at once, or, if that fails because of one of them, each by itself.

    Returns those that could not be applied; the gateway can be queried again.  Raises an outage, or AccountsPaused.
    """
    try:
        await apply(events)
    except Exception as error:
        if _is_of_all(error):
            raise
        return [event for event in events if not await _could_be_applied(apply, event)]
    return []


async def _could_be_applied(apply: Callable[[Sequence[PaymentEvent]], Awaitable[None]], event: PaymentEvent) -> bool:
    try:
        await apply([event])
    except Exception as error:
        if _is_of_all(error):
            raise
        if is_contention(error):
            log.warning("answer_lock_contended", account=event.account, kind=event.kind, error=type(error).__name__)
            return False
        log.exception("answer_cannot_be_applied", account=event.account, kind=event.kind)
        return False
    return True


def _is_of_all(error: Exception) -> bool:
    """Returns True for what no single event is the cause of."""
    return is_outage(error) or isinstance(error, Stopped | AccountsPaused)
