"""How many unsigned deliveries are taken: as many as their gateway can be asked about, and no source's flood is all.

    admitted ──> asked about, so many a second ──> room for others
        └─ no room ─> 503, and the gateway sends it again; what was answered 200 is asked about

A source may hold as much as is free: one alone holds half, two hold a third each, and a newcomer always finds room.
"""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web

Network = IPv4Network | IPv6Network

ROOM_S: Final = 240.0  # how long it may take until the last of those that were let in is asked about
SHARE: Final = 0.5  # of the account's questions; the others are for what is signed, for the sweep, and for trying again
UNLIMITED_PER_S: Final = 1000.0  # where questions have no limit of their own
REPEATS_MAX: Final = 20  # deliveries about one thing that take one place: many of them are one query
FORWARDED_MAX: Final = 20  # addresses of one header that are looked at
IPV6_PREFIX_BITS: Final = 64  # what one customer of a provider has


class NoRoom(Exception):
    """More unsigned deliveries than can be asked about: come again."""


class Room:
    """What is let in at one account and may not be asked about yet, by who sent it."""

    def __init__(self, *, calls_per_s: float) -> None:
        self._asked_per_s = SHARE * (calls_per_s or UNLIMITED_PER_S)
        self._places = round(ROOM_S * self._asked_per_s)
        self._taken: deque[tuple[str, Hashable]] = deque()
        self._by_source: Counter[str] = Counter()
        self._repeats: dict[Hashable, int] = {}
        self._counted_at_s: float | None = None

    def admit(self, source: str, named: Hashable, *, now_s: float) -> None:
        """Takes a place for what a delivery named, unless that has one.  Raises NoRoom."""
        self._free(now_s)
        if named and 0 < (repeats := self._repeats.get(named, 0)) <= REPEATS_MAX:
            self._repeats[named] = repeats + 1
            return
        if self._by_source[source] >= self._places - len(self._taken):
            raise NoRoom("this source sent as many unsigned deliveries as the gateway can be asked about")
        self._taken.append((source, named))
        self._by_source[source] += 1
        self._repeats[named] = 1

    def _free(self, now_s: float) -> None:
        """Frees the places of as many as were asked about since the last time."""
        if self._counted_at_s is None:
            self._counted_at_s = now_s
        asked = int((now_s - self._counted_at_s) * self._asked_per_s)
        if asked:
            self._counted_at_s += asked / self._asked_per_s
        for _ in range(min(asked, len(self._taken))):
            source, named = self._taken.popleft()
            self._repeats.pop(named, None)
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]


def source_of(request: web.BaseRequest, trusted: Sequence[Network]) -> str:
    """Who sent it: the nearest address of its way that is no proxy of ours."""
    peer = request.remote or ""
    if not _is_in(peer, trusted):
        return _grouped(peer)
    told = ",".join(request.headers.getall("X-Forwarded-For", ()))
    for address in reversed(told.split(",")[-FORWARDED_MAX:]):
        if address.strip() and not _is_in(address, trusted):
            return _grouped(address)
    return peer


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in it for it in networks)


def _grouped(text: str) -> str:
    """An address, or the network that one customer has of IPv6; all that are none of both are one source."""
    address = _address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_PREFIX_BITS), strict=False))
    return "none" if address is None else str(address)
