"""Checks addresses from outside: which mail address can be written to, and which network address may be called.

The checks raise for no input.
"""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

ADDRESS_CHARS_MAX: Final = 254  # RFC 5321, the path without its brackets
LOCAL_CHARS_MAX: Final = 64
URL_CHARS_MAX: Final = 2048
# What mailbox providers assign.  Quoted local parts and address literals are legal, but nobody has one.
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN: Final = re.compile(
    r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")  # of a URL, an IPv6 address without its brackets
_LIKE_AN_ADDRESS: Final = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # its last 32 bits are the IPv4 address that is really called


def is_mail_address(text: str) -> bool:
    """Returns True for one plain ASCII mailbox."""
    local, _, domain = text.rpartition("@")
    return (
        len(text) <= ADDRESS_CHARS_MAX
        and len(local) <= LOCAL_CHARS_MAX
        and _LOCAL.fullmatch(local) is not None
        and _DOMAIN.fullmatch(domain) is not None
    )


def is_plain_link(url: str) -> bool:
    """Returns True for an http or https address that a button may link to."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or set(url) & set(" <>\"'\\`"):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # yarl checks the port only when it is read
    except ValueError:
        return False
    is_web = parts.scheme in ("https", "http") and "@" not in parts.netloc
    return is_web and _HOST.fullmatch(parts.hostname or "") is not None


def without_addresses(text: str) -> str:
    """Removes from a text what looks like a mail address, for servers repeat the address that they refuse."""
    return _LIKE_AN_ADDRESS.sub("<address>", text)


def is_public(host: str) -> bool:
    """Returns True for a public IP address, and False for one that only our own network reaches."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Returns the IPv4 address that an IPv6 address embeds."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
