"""Limits all connections together: their number, the bytes of unfinished bodies, the time of unread responses.

The connection that has waited longest without a complete request is closed first: a gateway sends its whole request as
soon as it has connected, so the newcomer is served and a silent connection is not.
"""

from collections.abc import Callable
from typing import Final, Protocol

from tillkeeper import clock, telemetry
from tillkeeper.ingest.scheduler import FairScheduler

CONNECTIONS_MAX: Final = 900  # under the usual soft limit of 1,024 open files, with room for database and broker
BODIES_BYTES_MAX: Final = 32 * 1024 * 1024  # incomplete or not yet parsed, over all connections
WRITE_S: Final = 10.0  # how long a response may stay unread; a gateway reads it at once
CHECK_EVERY_S: Final = 1.0

EVICTED: Final = telemetry.CONNECTIONS_REFUSED.labels("turned_out")
UNREAD: Final = telemetry.CONNECTIONS_REFUSED.labels("unread")


class LimitedConnection(Protocol):
    """What the limits need of a connection; a Protocol because connections.py imports this module."""

    def is_served(self) -> bool:
        """Returns whether a complete request of this connection is being answered."""
        ...

    def unsent_bytes(self) -> int:
        """Returns the bytes of responses that the client has not read yet."""
        ...

    def abort(self) -> None:
        """Closes the connection at once."""
        ...


class ConnectionLimits:
    """Counts the connections of one listening socket, and closes those that exceed a limit."""

    def __init__(self, *, monotonic_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._monotonic_s = monotonic_s
        self._waiting: dict[LimitedConnection, None] = {}  # in the order in which they began to wait for a request
        self._open: set[LimitedConnection] = set()  # including those that are being closed
        self._held: dict[LimitedConnection, int] = {}
        self._unread_since_s: dict[LimitedConnection, float] = {}
        self.held_bytes = 0
        self.scheduler = FairScheduler()

    def add(self, connection: LimitedConnection) -> bool:
        """Admits a connection, if need be by closing another one.  Returns False where all others are being served."""
        if len(self._waiting) >= CONNECTIONS_MAX and not self._evict(lambda _: True):
            return False
        self._open.add(connection)
        self._waiting[connection] = None
        return True

    def remove(self, connection: LimitedConnection) -> None:
        """Forgets a connection that is closed.  Safe to repeat."""
        self._forget(connection)
        self._open.discard(connection)
        self._unread_since_s.pop(connection, None)

    def restart_wait(self, connection: LimitedConnection) -> None:
        """Puts a connection last in the order of closing: a response was sent, or a request begins."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._waiting[connection] = None

    def hold_bytes(self, connection: LimitedConnection, size_bytes: int) -> None:
        """Adds to the bytes that a connection holds; a negative number subtracts.  May close the connection that holds
        some and has waited longest."""
        if connection not in self._waiting:
            return
        self._held[connection] = self._held.get(connection, 0) + size_bytes
        self.held_bytes += size_bytes
        while self.held_bytes > BODIES_BYTES_MAX and self._evict(lambda each: self._held.get(each, 0) > 0):
            pass

    def close(self) -> None:
        """Closes the connections that are still open when the receiver stops: those without a request."""
        for connection in list(self._open):
            self._forget(connection)
            connection.abort()

    async def check_once(self) -> int:
        """Closes each connection whose client has not read its response in time."""
        now_s = self._monotonic_s()
        for connection in list(self._open):
            if not connection.unsent_bytes():
                self._unread_since_s.pop(connection, None)
            elif now_s - self._unread_since_s.setdefault(connection, now_s) > WRITE_S:
                UNREAD.inc()
                self._forget(connection)
                connection.abort()
        return 0

    def _evict(self, fits: Callable[[LimitedConnection], bool]) -> bool:
        """Closes the connection that has waited longest of those that fit and are not being served, if there is one."""
        victim = next((each for each in self._waiting if fits(each) and not each.is_served()), None)
        if victim is None:
            return False
        EVICTED.inc()
        self._forget(victim)
        victim.abort()
        return True

    def _forget(self, connection: LimitedConnection) -> None:
        self._waiting.pop(connection, None)
        self.held_bytes -= self._held.pop(connection, 0)
