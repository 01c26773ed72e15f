"""The APIs on loopback, a port each: faults first, then the answer, and a line in the log for every query."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

from aiohttp import web

from sandbox.apis.base import Api, Put, Sealed, Told
from sandbox.apis.faults import Fault, Faults
from sandbox.apis.queries import Asked, QuestionLog

SLOW_S: Final = 1.5  # how late a slow answer is, in real seconds
SILENT_S: Final = 600.0  # nobody waits for longer
CLOSING_S: Final = 1.0  # for answers under way
BODY_BYTES_MAX: Final = 64 * 1024
STATUS_OF: Final[Mapping[Fault, int]] = {Fault.BROKEN: 500, Fault.BUSY: 429, Fault.GATEWAY_TIMEOUT: 504}
PROXY_SAYS: Final = b"<html><head><title>504 Gateway Time-out</title></head><body>504 Gateway Time-out</body></html>"


class Answering:
    """One gateway's API, faults included."""

    def __init__(
        self, api: Api, *, now: Callable[[], datetime], log: QuestionLog, faults: Faults, slow_s: float = SLOW_S
    ) -> None:
        self._api = api
        self._now = now
        self._log = log
        self._faults = faults
        self._slow_s = slow_s

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One query."""
        put, now = await _received(request), self._now()
        told = self._api.answer(put, now=now, knows_at=self._faults.knows_at(self._api.account, now))
        fault = self._faults.at(self._api.account, now, f"{told.about} {told.ref}")
        status, said = told.status, told.said
        sealed: Sealed | None
        match fault:
            case Fault.BROKEN | Fault.BUSY:
                broken = self._api.broken(STATUS_OF[fault], put)
                sealed, status, said = self._api.sealed(broken, now=now), broken.status, broken.said
            case Fault.GATEWAY_TIMEOUT:
                status, said = STATUS_OF[fault], "nothing"
                sealed = Sealed(status=status, headers={"Content-Type": "text/html"}, body=PROXY_SAYS)
            case Fault.HUNG_UP | Fault.SILENT:
                status, said, sealed = 0, "nothing", None
            case Fault.FORGED:
                sealed = self._api.sealed(told, now=now, forged=True)
            case _:
                sealed = self._api.sealed(told, now=now)
        self._log.enter(_line(self._api.account, told, now=now, status=status, said=said, fault=fault))
        return await self._send(request, sealed, fault)

    async def _send(self, request: web.Request, sealed: Sealed | None, fault: Fault | None) -> web.StreamResponse:
        if fault is Fault.SLOW:
            await asyncio.sleep(self._slow_s)
        if fault is Fault.SILENT:
            await asyncio.sleep(SILENT_S)
        if sealed is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=204)  # goes nowhere
        return web.Response(status=sealed.status, headers=dict(sealed.headers), body=sealed.body)


async def _received(request: web.Request) -> Put:
    return Put(
        method=request.method,
        path=request.rel_url.raw_path,
        target=request.raw_path,
        query=tuple(request.query.items()),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
    )


def _line(account: str, told: Told, *, now: datetime, status: int, said: str, fault: Fault | None) -> Asked:
    return Asked(
        at=now,
        account=account,
        about=told.about,
        ref=told.ref,
        order_ref=told.order_ref,
        status=status,
        said=said,
        fault=fault,
    )


@asynccontextmanager
async def serving(apis: Mapping[str, Answering]) -> AsyncIterator[dict[str, str]]:
    """Each account's API on a free port of loopback while inside; yields where they are."""
    async with AsyncExitStack() as stack:
        bases = {}
        for account, answering in apis.items():
            app = web.Application(client_max_size=BODY_BYTES_MAX)
            app.router.add_route("*", "/{path:.*}", answering.handle)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=CLOSING_S)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            bases[account] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield bases
