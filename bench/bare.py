"""The measure of all accepting: aiohttp on uvloop that reads a body and answers 200, and does nothing else."""

import asyncio
import sys

import uvloop
from aiohttp import web


async def handle(request: web.Request) -> web.Response:
    """Reads and answers."""
    await request.read()
    return web.Response(text="ok")


async def serve(port: int) -> None:
    """Serves until killed."""
    app = web.Application()
    app.router.add_post("/webhooks/{account}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(serve(int(sys.argv[1])))
