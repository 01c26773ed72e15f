"""Everybody who is connected, bounded together: how many, how much of unfinished bodies, how long unread answers stay.

Who waits longest without a complete request goes first: a gateway connects and says all it has to say at once, so the
newcomer is served and the one that says nothing is not.
"""

from collections.abc import Callable
from typing import Final, Protocol

from ingest.turns import Turns
from tillkeeper import clock, telemetry

CONNECTIONS_MAX: Final = 900  # under the usual soft limit of 1,024 open files, with room for database and broker
BODIES_BYTES_MAX: Final = 32 * 1024 * 1024  # of what is not complete or not parsed yet, over all connections
WRITE_S: Final = 10.0  # how long an answer may stay unread; a gateway reads its answer at once
LOOK_EVERY_S: Final = 1.0

TURNED_OUT: Final = telemetry.CONNECTIONS_REFUSED.labels("turned_out")
UNREAD: Final = telemetry.CONNECTIONS_REFUSED.labels("unread")


class Guest(Protocol):
    """One connection."""

    def is_served(self) -> bool:
        """Whether a complete request of it is being answered."""
        ...

    def unsent_bytes(self) -> int:
        """How much of its answers the client has not taken yet."""
        ...

    def turn_out(self) -> None:
        """Ends it at once."""
        ...


class Crowd:
    """The connections of one listening socket."""

    def __init__(self, *, monotonic_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._monotonic_s = monotonic_s
        self._waiting: dict[Guest, None] = {}  # in the order in which each began to wait for its present request
        self._open: set[Guest] = set()  # those that are being closed, too
        self._held: dict[Guest, int] = {}
        self._unread_since_s: dict[Guest, float] = {}
        self.held_bytes = 0
        self.turns = Turns()

    def enter(self, guest: Guest) -> bool:
        """Lets one in, if need be in the place of another.  False where everybody is being served."""
        if len(self._waiting) >= CONNECTIONS_MAX and not self._turn_out(lambda _: True):
            return False
        self._open.add(guest)
        self._waiting[guest] = None
        return True

    def leave(self, guest: Guest) -> None:
        """It is gone.  Safe to repeat."""
        self._forget(guest)
        self._open.discard(guest)
        self._unread_since_s.pop(guest, None)

    def waits_anew(self, guest: Guest) -> None:
        """It was answered, or begins a request: whoever began to wait before goes before it."""
        if guest in self._waiting:
            del self._waiting[guest]
            self._waiting[guest] = None

    def hold(self, guest: Guest, size_bytes: int) -> None:
        """So much more of what it sent is in memory, or less.  May turn out who holds some and waits longest."""
        if guest not in self._waiting:
            return
        self._held[guest] = self._held.get(guest, 0) + size_bytes
        self.held_bytes += size_bytes
        while self.held_bytes > BODIES_BYTES_MAX and self._turn_out(lambda it: self._held.get(it, 0) > 0):
            pass

    def close(self) -> None:
        """Ends whoever is still there when the receiver stops: those that never said anything."""
        for guest in list(self._open):
            self._forget(guest)
            guest.turn_out()

    async def look_once(self) -> int:
        """Ends who does not read what was written to it, as a loop's step."""
        now_s = self._monotonic_s()
        for guest in list(self._open):
            if not guest.unsent_bytes():
                self._unread_since_s.pop(guest, None)
            elif now_s - self._unread_since_s.setdefault(guest, now_s) > WRITE_S:
                UNREAD.inc()
                self._forget(guest)
                guest.turn_out()
        return 0

    def _turn_out(self, fits: Callable[[Guest], bool]) -> bool:
        """Ends the one that waits longest of those that fit and are not being served; False where there is none."""
        victim = next((it for it in self._waiting if fits(it) and not it.is_served()), None)
        if victim is None:
            return False
        TURNED_OUT.inc()
        self._forget(victim)
        victim.turn_out()
        return True

    def _forget(self, guest: Guest) -> None:
        self._waiting.pop(guest, None)
        self.held_bytes -= self._held.pop(guest, 0)
