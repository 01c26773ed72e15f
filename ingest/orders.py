"""The orders API: PUT registers an order, GET shows it or tells its history.  For holders of a token."""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import asyncpg
import structlog
from aiohttp import web

from ingest.answers import Handler, answer, not_now, refusal
from ingest.body import headers_of, read_body
from ingest.registration import BadRegistration, registration_of
from tillkeeper import clock
from tillkeeper.domain.events import REF_CHARS_MAX
from tillkeeper.gateways.base import Refused
from tillkeeper.store import orders
from tillkeeper.store.pool import DATABASE_ERRORS, is_outage

log = structlog.get_logger()

DATABASE_S: Final = 10.0  # registering may wait for a batch of workers that holds the order's references
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class BadReference(Exception):
    """The path does not name an order as this API can."""


class OrdersApi:
    """The three requests of a merchant's system."""

    def __init__(
        self, pool: asyncpg.Pool, *, tokens: Sequence[str], accounts: Collection[str], body_bytes_max: int
    ) -> None:
        self._pool = pool
        self._tokens = tuple(token.encode() for token in tokens)
        self._accounts = accounts
        self._body_bytes_max = body_bytes_max

    def routes(self) -> dict[str, dict[str, Handler]]:
        """By path, the handler of each method."""
        return {
            "/orders/{order_ref}": {"PUT": self._guarded(self._put), "GET": self._guarded(self._show)},
            "/orders/{order_ref}/history": {"GET": self._guarded(self._history)},
        }

    def _guarded(self, act: Callable[[web.Request, str], Awaitable[web.Response]]) -> Handler:
        """Around each act: who asks, for which order, and what an absent database is answered with."""

        async def handle(request: web.Request) -> web.Response:
            if not self._knows(request.headers.get("Authorization", "")):
                return refusal(401, "send a header Authorization: Bearer TOKEN", WWW_Authenticate="Bearer")
            try:
                order_ref = order_ref_of(request.rel_url.raw_path)
                async with asyncio.timeout(DATABASE_S):
                    return await act(request, order_ref)
            except BadReference as error:
                return refusal(400, str(error))
            except DATABASE_ERRORS as error:
                if not is_outage(error):
                    raise
                log.warning("orders_database_out_of_reach", error=repr(error))
                return not_now("the database is out of reach; nothing is lost by asking again")

        return handle

    def _knows(self, authorization: str) -> bool:
        """Every token is compared, so that the time taken tells nothing."""
        scheme, _, token = authorization.partition(" ")
        told = token.strip().encode("utf-8", "surrogateescape")
        fits = [hmac.compare_digest(told, known) for known in self._tokens]
        return scheme.lower() == "bearer" and any(fits)

    async def _put(self, request: web.Request, order_ref: str) -> web.Response:
        try:
            headers_of(request)
            body = await read_body(request, bytes_max=self._body_bytes_max)
            registration = registration_of(order_ref, body, accounts=self._accounts)
        except Refused as refused:
            response = refusal(refused.status, refused.reason)
            response.force_close()
            return response
        except BadRegistration as error:
            return refusal(400, str(error))
        try:
            outcome = await orders.register(self._pool, registration, now=clock.now())
        except orders.Contradiction as contradiction:
            return refusal(
                409, f"{contradiction.field} contradicts what is already registered, here or for another order"
            )
        return answer(201 if outcome == "created" else 200, {"order_ref": order_ref, "registration": outcome})

    async def _show(self, _request: web.Request, order_ref: str) -> web.Response:
        found = await orders.show(self._pool, order_ref)
        return refusal(404, "no such order is registered") if found is None else answer(200, found)

    async def _history(self, _request: web.Request, order_ref: str) -> web.Response:
        found = await orders.history(self._pool, order_ref)
        return refusal(404, "no such order is registered") if found is None else answer(200, found)


def order_ref_of(raw_path: str) -> str:
    """The reference in a path as it came over the wire.  Raises BadReference."""
    raw = raw_path.split("/")[2]
    if _NO_ESCAPE.search(raw):
        raise BadReference("the order's reference must be percent-encoded UTF-8")
    try:
        order_ref = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadReference("the order's reference must be percent-encoded UTF-8") from None
    if not 1 <= len(order_ref) <= REF_CHARS_MAX or "\x00" in order_ref:
        raise BadReference(f"an order's reference has 1 to {REF_CHARS_MAX} characters, none of them NUL")
    return order_ref
