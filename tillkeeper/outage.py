"""Tells of an outage once when it begins and once when it is over, however many loops of a process meet it."""

from collections.abc import Callable, Hashable

import structlog

from tillkeeper import clock
from tillkeeper.telemetry import DATABASE_UNAVAILABLE

log = structlog.get_logger()


class Outage:
    """The state of something that several users in a process need: it is out while one of them finds it so."""

    def __init__(
        self,
        *,
        begins: Callable[[object], None],
        ends: Callable[[float], None],
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        """Calls `begins` with the first user's reason, and `ends` with the seconds until the last user was served."""
        self._begins = begins
        self._ends = ends
        self._monotonic_s = monotonic_s
        self._began_s = 0.0
        self._without: set[Hashable] = set()

    @property
    def lasts(self) -> bool:
        """Returns True while a user goes without."""
        return bool(self._without)

    def failed(self, user: Hashable, reason: object) -> None:
        """Notes that this user goes without."""
        if not self._without:
            self._began_s = self._monotonic_s()
            self._begins(reason)
        self._without.add(user)

    def recovered(self, user: Hashable) -> None:
        """Notes that this user was served."""
        if user not in self._without:
            return
        self._without.remove(user)
        if not self._without:
            self._ends(round(self._monotonic_s() - self._began_s, 3))


def database_outage() -> Outage:
    """Returns the outage of the database, for all of a process."""

    def begins(reason: object) -> None:
        DATABASE_UNAVAILABLE.set(1)
        log.warning("database_unavailable", error=type(reason).__name__, text=str(reason)[:200])

    def ends(seconds: float) -> None:
        DATABASE_UNAVAILABLE.set(0)
        log.info("database_available", after_s=seconds)

    return Outage(begins=begins, ends=ends)


def lane_outage(name: str) -> Outage:
    """Returns the outage of a lane, for all loops of a worker that take from it."""
    return Outage(
        begins=lambda reason: log.warning("lane_unavailable", lane=name, error=str(reason)),
        ends=lambda seconds: log.info("lane_available", lane=name, after_s=seconds),
    )


def intake_outage() -> Outage:
    """Returns the outage of both lanes, as a receiver meets it."""
    return Outage(
        begins=lambda reason: log.warning("no_lane_available", error=str(reason)),
        ends=lambda seconds: log.info("some_lane_available", after_s=seconds),
    )


def collector_outage() -> Outage:
    """Returns the outage of what takes this process's spans."""
    return Outage(
        begins=lambda reason: log.warning("traces_not_sent", error=str(reason)[:200]),
        ends=lambda seconds: log.info("traces_sent_again", after_s=seconds),
    )


def notifications_outage() -> Outage:
    """Returns the outage of the spool's notifications, for all loops of a worker."""
    return Outage(
        begins=lambda reason: log.info("spool_notifications_unavailable", error=repr(reason)),
        ends=lambda seconds: log.info("spool_notifications_available", after_s=seconds),
    )
