"""Serves the orders API to holders of a token: PUT registers an order or a refund, GET shows an order."""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import asyncpg
import structlog
from aiohttp import web

from tillkeeper import clock
from tillkeeper.domain.events import REF_CHARS_MAX
from tillkeeper.domain.order.refund_registration import GatewayKnowsRefund
from tillkeeper.domain.order.registration import Contradiction
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.errors import Refused
from tillkeeper.ingest.api_types import RefundRegistered, RefundWithdrawn, Registered
from tillkeeper.ingest.read_body import headers_of, read_body
from tillkeeper.ingest.refunds import refund_of
from tillkeeper.ingest.registration import BadRegistration, registration_of
from tillkeeper.ingest.responses import Handler, answer, refusal, unavailable_response
from tillkeeper.ingest.tracing import traced
from tillkeeper.log_throttle import LogThrottle
from tillkeeper.store.apply import refunds
from tillkeeper.store.apply.registration import register
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, WriteConflict, is_contention, is_outage
from tillkeeper.store.reports import order as order_report

log = structlog.get_logger()

UNAVAILABLE_LOG_S: Final = 60.0  # the process tells when an outage begins and ends
DATABASE_S: Final = 10.0  # registering may wait for a worker's batch that has locked the order's references
# Anything between two slashes; by default the router accepts no braces.
ORDER_REF: Final = "{order_ref:[^/]+}"
REFUND_REF: Final = "{refund_ref:[^/]+}"
ORDER_PART: Final = 2  # of a path split at its slashes
REFUND_PART: Final = 4
NOT_REGISTERED: Final = "no such order is registered"
NO_SUCH_REFUND: Final = "the order has no refund of this reference"
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

Action = Callable[[web.Request, str], Awaitable[web.Response]]


class Unauthorized(Exception):
    """The request carries no valid token."""


class BadReference(Exception):
    """The path names no valid order or refund reference."""


CALLER_ERRORS: Final = (
    Unauthorized,
    Refused,
    BadReference,
    BadRegistration,
    NoSuchOrder,
    Contradiction,
    refunds.NoSuchRefund,
    GatewayKnowsRefund,
)


class OrdersApi:
    """Handles the requests of a merchant's system."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        tokens: Sequence[str],
        accounts: Collection[str],
        policy: Callable[[], Policy],
        body_bytes_max: int,
        shadow: bool = False,
    ) -> None:
        self._pool = pool
        self._tokens = tuple(token.encode() for token in tokens)
        self._accounts = accounts
        self._policy = policy
        self._body_bytes_max = body_bytes_max
        self._shadow = shadow
        self._log_throttle = LogThrottle(every_s=UNAVAILABLE_LOG_S, monotonic_s=clock.monotonic_s)

    def routes(self) -> dict[str, dict[str, Handler]]:
        """Returns the handler of each method, by path."""
        actions: dict[str, dict[str, Action]] = {
            f"/orders/{ORDER_REF}": {"PUT": self._put, "GET": self._show},
            f"/orders/{ORDER_REF}/history": {"GET": self._history},
            f"/orders/{ORDER_REF}/refunds/{REFUND_REF}": {"PUT": self._put_refund, "DELETE": self._withdraw_refund},
        }
        return {
            path: {method: self._traced(path, self._guarded(action)) for method, action in handlers.items()}
            for path, handlers in actions.items()
        }

    def _traced(self, path: str, handler: Handler) -> Handler:
        return traced(handler, route=path.replace(":[^/]+", ""), may_continue=self._has_token)

    def _guarded(self, action: Action) -> Handler:
        """Wraps a handler: checks the token, reads the order's reference, and turns errors into responses."""

        async def handle(request: web.Request) -> web.Response:
            try:
                self._check_token(request)
                order_ref = reference_of(request.rel_url.raw_path, ORDER_PART, "an order's")
                async with asyncio.timeout(DATABASE_S):
                    return await action(request, order_ref)
            except CALLER_ERRORS as error:
                return _refusal(error)
            except WriteConflict:
                log.warning("orders_write_conflict")
                return unavailable_response("others wrote the same at every attempt; nothing is lost by asking again")
            except DATABASE_ERRORS as error:
                if is_contention(error):
                    if (suppressed := self._log_throttle.due("contended")) is not None:
                        log.warning("orders_database_contended", error=repr(error), suppressed=suppressed)
                    return unavailable_response("others hold what this needs; nothing is lost by asking again")
                if not is_outage(error):
                    raise
                if (suppressed := self._log_throttle.due("unavailable")) is not None:
                    log.warning("orders_database_unavailable", error=repr(error), suppressed=suppressed)
                return unavailable_response("the database is out of reach; nothing is lost by asking again")

        return handle

    def _has_token(self, request: web.Request) -> bool:
        try:
            self._check_token(request)
        except Unauthorized:
            return False
        return True

    def _check_token(self, request: web.Request) -> None:
        """Compares the token with every known one, so that the time taken tells nothing.  Raises Unauthorized."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token_bytes = token.strip().encode("utf-8", "surrogateescape")
        fits = [hmac.compare_digest(token_bytes, known) for known in self._tokens]
        if scheme.lower() != "bearer" or not any(fits):
            raise Unauthorized

    async def _put(self, request: web.Request, order_ref: str) -> web.Response:
        registration = registration_of(order_ref, await self._body(request), accounts=self._accounts)
        outcome = await register(self._pool, registration, policy=self._policy(), now=clock.now(), shadow=self._shadow)
        return answer(201 if outcome == "created" else 200, Registered(order_ref=order_ref, registration=outcome))

    async def _put_refund(self, request: web.Request, order_ref: str) -> web.Response:
        refund_ref = reference_of(request.rel_url.raw_path, REFUND_PART, "a refund's")
        asked = refund_of(order_ref, refund_ref, await self._body(request), accounts=self._accounts)
        outcome = await refunds.register_refund(self._pool, asked, policy=self._policy(), now=clock.now())
        content = RefundRegistered(order_ref=order_ref, refund_ref=refund_ref, refund=outcome)
        return answer(201 if outcome == "created" else 200, content)

    async def _withdraw_refund(self, request: web.Request, order_ref: str) -> web.Response:
        refund_ref = reference_of(request.rel_url.raw_path, REFUND_PART, "a refund's")
        outcome = await refunds.withdraw_refund(
            self._pool, order_ref, refund_ref, policy=self._policy(), now=clock.now()
        )
        return answer(200, RefundWithdrawn(order_ref=order_ref, refund_ref=refund_ref, refund=outcome))

    async def _body(self, request: web.Request) -> bytes:
        headers_of(request)
        return await read_body(request, bytes_max=self._body_bytes_max)

    async def _show(self, _request: web.Request, order_ref: str) -> web.Response:
        found = await order_report.show(self._pool, order_ref)
        return refusal(404, NOT_REGISTERED) if found is None else answer(200, found)

    async def _history(self, _request: web.Request, order_ref: str) -> web.Response:
        found = await order_report.history(self._pool, order_ref)
        return refusal(404, NOT_REGISTERED) if found is None else answer(200, found)


def _refusal(error: Exception) -> web.Response:
    """Builds the response to a request that the caller must change."""
    match error:
        case Unauthorized():
            return refusal(401, "send a header Authorization: Bearer TOKEN", WWW_Authenticate="Bearer")
        case Refused():
            response = refusal(error.status, error.reason)
            response.force_close()  # the rest of the body is not read
            return response
        case NoSuchOrder() | refunds.NoSuchRefund():
            return refusal(404, NOT_REGISTERED if isinstance(error, NoSuchOrder) else NO_SUCH_REFUND)
        case GatewayKnowsRefund():
            return refusal(409, "the gateway knows of this refund; what becomes of it is the gateway's to say")
        case Contradiction():
            return refusal(409, f"{error.field} contradicts what is already registered, here or for another order")
        case _:
            return refusal(400, str(error))


def reference_of(raw_path: str, part: int, whose: str) -> str:
    """Reads the reference out of a path as it came over the wire.  Raises BadReference."""
    raw = raw_path.split("/")[part]
    if _NO_ESCAPE.search(raw):
        raise BadReference(f"{whose} reference must be percent-encoded UTF-8")
    try:
        reference = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadReference(f"{whose} reference must be percent-encoded UTF-8") from None
    if not 1 <= len(reference) <= REF_CHARS_MAX or "\x00" in reference:
        raise BadReference(f"{whose} reference has 1 to {REF_CHARS_MAX} characters, none of them NUL")
    return reference
