"""Names the cookies of the desk, reads them and sets them: for the desk's own pages, out of scripts' reach."""

import re
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Literal

from aiohttp import web

Network = IPv4Network | IPv6Network

SESSION_COOKIE: Final = "tk_session"
VISITOR_COOKIE: Final = "tk_visitor"  # of who is not signed in: what the token of their forms follows from
KNOWN_COOKIE: Final = "tk_known"  # that somebody has signed in here before
KNOWN_LIVES: Final = timedelta(days=180)
FLOW_COOKIE: Final = "tk_flow"  # of who signs in at their company's provider just now
HOST_ONLY: Final = "__Host-"  # browsers take such a cookie over https alone, and from this very host
_VALUE: Final = re.compile(r"[A-Za-z0-9_.-]{1,3000}")

HTTPS: Final = web.RequestKey("https", bool)


def is_https(request: web.Request, trusted_proxies: Sequence[Network]) -> bool:
    """Returns whether the browser speaks https, here or to a proxy that is trusted to say so."""
    if request.secure:
        return True
    try:
        peer = ip_address(request.remote or "")
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return said == "https" and any(peer in network for network in trusted_proxies)


def cookie_of(request: web.Request, name: str) -> str | None:
    """Returns what a cookie holds, where it can be one of ours."""
    value = request.cookies.get(_named(request, name), "")
    return value if _VALUE.fullmatch(value) else None


def set_cookie(
    request: web.Request,
    response: web.StreamResponse,
    name: str,
    value: str,
    *,
    lives: timedelta | None = None,
    samesite: Literal["Strict", "Lax"] = "Strict",
) -> None:
    """Sets a cookie; without `lives` it goes when the browser is closed.

    Browsers send one that is Lax along when another site sends them to a page here, too.
    """
    response.set_cookie(
        _named(request, name),
        value,
        max_age=None if lives is None else int(lives.total_seconds()),
        path="/",
        secure=request[HTTPS],
        httponly=True,
        samesite=samesite,
    )


def remove_cookie(request: web.Request, response: web.StreamResponse, name: str) -> None:
    """Has the browser forget a cookie."""
    response.del_cookie(_named(request, name), path="/", secure=request[HTTPS], httponly=True, samesite="Strict")


def _named(request: web.Request, name: str) -> str:
    return HOST_ONLY + name if request[HTTPS] else name
