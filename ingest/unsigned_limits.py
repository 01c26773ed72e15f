"""Limits unsigned deliveries: no more than queries to their gateway can settle, and no source may take all places.

    admitted ──> queried, so many a second ──> its place is free again
        └─ no place ─> 503, and the gateway sends the delivery again; each that was answered 200 is queried

A source may hold as many places as are free: one alone holds half, two hold a third each, and a newcomer finds a place.
"""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web

Network = IPv4Network | IPv6Network

WAIT_S: Final = 240.0  # until the last of the admitted deliveries is queried
SHARE: Final = 0.5  # of the account's queries; the rest is for signed deliveries, the sweep and retries
UNLIMITED_PER_S: Final = 1000.0  # where queries have no limit of their own
REPEATS_MAX: Final = 20  # deliveries about one object that take one place: one query settles them all
FORWARDED_MAX: Final = 20  # addresses of one header that are read
IPV6_PREFIX_BITS: Final = 64  # the network of one customer of a provider


class TooManyUnsigned(Exception):
    """More unsigned deliveries have arrived than queries can settle; the gateway should send this one again."""


class UnsignedLimit:
    """Counts the admitted deliveries of one account that may not have been queried yet, by their source."""

    def __init__(self, *, calls_per_s: float) -> None:
        self._queries_per_s = SHARE * (calls_per_s or UNLIMITED_PER_S)
        self._places = round(WAIT_S * self._queries_per_s)
        self._taken: deque[tuple[str, Hashable]] = deque()
        self._by_source: Counter[str] = Counter()
        self._repeats: dict[Hashable, int] = {}
        self._counted_at_s: float | None = None

    def admit(self, source: str, named: Hashable, *, now_s: float) -> None:
        """Takes a place for the objects that a delivery names, unless they have one.  Raises TooManyUnsigned."""
        self._free(now_s)
        if named and 0 < (repeats := self._repeats.get(named, 0)) <= REPEATS_MAX:
            self._repeats[named] = repeats + 1
            return
        if self._by_source[source] >= self._places - len(self._taken):
            raise TooManyUnsigned("this source sent as many unsigned deliveries as the gateway can be queried about")
        self._taken.append((source, named))
        self._by_source[source] += 1
        self._repeats[named] = 1

    def _free(self, now_s: float) -> None:
        """Frees the places of as many as were queried since the last time."""
        if self._counted_at_s is None:
            self._counted_at_s = now_s
        queried = int((now_s - self._counted_at_s) * self._queries_per_s)
        if queried:
            self._counted_at_s += queried / self._queries_per_s
        for _ in range(min(queried, len(self._taken))):
            source, named = self._taken.popleft()
            self._repeats.pop(named, None)
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]


def source_of(request: web.BaseRequest, trusted: Sequence[Network]) -> str:
    """Returns the source of a request: the nearest address on its way that is no trusted proxy."""
    peer = request.remote or ""
    if not _is_in(peer, trusted):
        return _grouped(peer)
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
    for address in reversed(forwarded.split(",")[-FORWARDED_MAX:]):
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
    return address is not None and any(address in network for network in networks)


def _grouped(text: str) -> str:
    """Returns the source that an address belongs to: an IPv6 network, or one source for all unreadable addresses."""
    address = _address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_PREFIX_BITS), strict=False))
    return "none" if address is None else str(address)
