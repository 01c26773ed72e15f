"""Writes paths with references in them, and reads them again: a reference may hold any character."""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web

from tillkeeper.domain.events import REF_CHARS_MAX

ORDERS: Final = "/orders"
ACCOUNTS: Final = "/accounts"
ORDER_PART: Final = 2  # of a path split at its slashes
DOTS: Final = frozenset({".", ".."})  # browsers take these for steps in the path, however they are written


def order_path(order_ref: str, *rest: str) -> str:
    """Returns the path of an order's page, or of what stands below it."""
    if order_ref in DOTS:
        return f"{ORDERS}?ref={order_ref}"
    return f"{ORDERS}/" + "/".join(quote(part, safe="") for part in (order_ref, *rest))


def account_path(account: str, *rest: str) -> str:
    """Returns the path of an account's page, or of what stands below it."""
    return f"{ACCOUNTS}/" + "/".join(quote(part, safe="") for part in (account, *rest))


def account_in(request: web.Request) -> str:
    """Reads the account's name.  Raises HTTPNotFound for what none can be called."""
    name = request.match_info["name"]
    if "\x00" in name or not _is_unicode(name):
        raise web.HTTPNotFound
    return name


def order_ref_in(request: web.Request) -> str:
    """Reads the order's reference as it came over the wire: the router would not tell / from %2F.  Raises HTTPNotFound
    for what no order can be called."""
    parts = request.rel_url.raw_path.split("/")
    try:
        ref = unquote_to_bytes(parts[ORDER_PART]).decode() if len(parts) > ORDER_PART else request.query.get("ref", "")
    except UnicodeDecodeError:
        raise web.HTTPNotFound from None
    if not 1 <= len(ref) <= REF_CHARS_MAX or "\x00" in ref or not _is_unicode(ref):
        raise web.HTTPNotFound
    return ref


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
