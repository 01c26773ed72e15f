"""Serves the APIs on loopback, each on a port of its own, with faults and a log of every query."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

from aiohttp import web

from tillkeeper.sandbox.apis.base import Api, ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.apis.faults import ApiFault, Faults
from tillkeeper.sandbox.apis.query_log import LoggedQuery, QueryLog

SLOW_S: Final = 1.5  # how late a slow answer is, in real seconds
SILENT_S: Final = 600.0  # nobody waits for longer
CLOSING_S: Final = 1.0  # for answers under way
BODY_BYTES_MAX: Final = 64 * 1024
STATUS_OF: Final[Mapping[ApiFault, int]] = {ApiFault.BROKEN: 500, ApiFault.BUSY: 429, ApiFault.GATEWAY_TIMEOUT: 504}
PROXY_SAYS: Final = b"<html><head><title>504 Gateway Time-out</title></head><body>504 Gateway Time-out</body></html>"


class ApiHandler:
    """One gateway's API, faults included."""

    def __init__(
        self,
        account: str,
        api: Api,
        *,
        now: Callable[[], datetime],
        log: QueryLog,
        faults: Faults,
        slow_s: float = SLOW_S,
    ) -> None:
        self._account = account
        self._api = api
        self._now = now
        self._log = log
        self._faults = faults
        self._slow_s = slow_s

    async def handle(self, http_request: web.Request) -> web.StreamResponse:
        """One query."""
        request, now = await _received(http_request), self._now()
        content = self._api.respond(request, now=now, as_of=self._faults.as_of(self._account, now))
        fault = self._faults.at(self._account, now, f"{content.about} {content.ref}")
        status, summary = content.status, content.summary
        signed: SignedResponse | None
        match fault:
            case ApiFault.BROKEN | ApiFault.BUSY:
                error_response = self._api.error_response(STATUS_OF[fault], request)
                signed, status, summary = (
                    self._api.signed(error_response, now=now),
                    error_response.status,
                    error_response.summary,
                )
            case ApiFault.GATEWAY_TIMEOUT:
                status, summary = STATUS_OF[fault], "nothing"
                signed = SignedResponse(status=status, headers={"Content-Type": "text/html"}, body=PROXY_SAYS)
            case ApiFault.HUNG_UP | ApiFault.SILENT:
                status, summary, signed = 0, "nothing", None
            case ApiFault.FORGED:
                signed = self._api.signed(content, now=now, forged=True)
            case _:
                signed = self._api.signed(content, now=now)
        self._log.enter(_line(self._account, content, now=now, status=status, summary=summary, fault=fault))
        return await self._send(http_request, signed, fault)

    async def _send(
        self, request: web.Request, signed: SignedResponse | None, fault: ApiFault | None
    ) -> web.StreamResponse:
        if fault is ApiFault.SLOW:
            await asyncio.sleep(self._slow_s)
        if fault is ApiFault.SILENT:
            await asyncio.sleep(SILENT_S)
        if signed is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=204)  # goes nowhere
        return web.Response(status=signed.status, headers=dict(signed.headers), body=signed.body)


async def _received(request: web.Request) -> ApiRequest:
    return ApiRequest(
        method=request.method,
        path=request.rel_url.raw_path,
        target=request.raw_path,
        query=tuple(request.query.items()),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
    )


def _line(
    account: str, content: ApiResponse, *, now: datetime, status: int, summary: str, fault: ApiFault | None
) -> LoggedQuery:
    return LoggedQuery(
        at=now,
        account=account,
        about=content.about,
        ref=content.ref,
        order_ref=content.order_ref,
        status=status,
        summary=summary,
        fault=fault,
    )


@asynccontextmanager
async def serving(apis: Mapping[str, ApiHandler]) -> AsyncIterator[dict[str, str]]:
    """Yields each account's API on a free port of loopback while inside; yields where they are."""
    async with AsyncExitStack() as stack:
        bases = {}
        for account, api_handlers in apis.items():
            app = web.Application(client_max_size=BODY_BYTES_MAX)
            app.router.add_route("*", "/{path:.*}", api_handlers.handle)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=CLOSING_S)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            bases[account] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield bases
