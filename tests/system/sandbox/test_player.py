"""What the player posts arrives as its gateway signed it."""

import pytest
from aiohttp import web

from tillkeeper.sandbox.accounts import impostors_of
from tillkeeper.sandbox.forgery import Forger
from tillkeeper.sandbox.simulators.registry import ledger_of
from tillkeeper.sandbox.traffic.generator import TrafficGenerator, open_session
from tillkeeper.sandbox.traffic.posting_log import PostingLog


@pytest.mark.parametrize("query", ["", "id=%2f1&type=payment", "data.id=a+b%20c&x", "u=%E4%B8%AD:/?@"])
async def test_the_url_is_posted_to_just_as_it_was_signed(signers, query):
    targets = []

    async def receive(request: web.Request) -> web.Response:
        targets.append((request.raw_path, await request.read(), request.headers["x-signed"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhooks/{account}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with open_session(f"http://127.0.0.1:{runner.addresses[0][1]}", token="t") as session:
            player = TrafficGenerator(
                session=session,
                signers=signers,
                forger=Forger(signers, impostors_of(signers)),
                log=PostingLog(list(signers)),
                ledger=ledger_of({}),
                seed=1,
                run="T",
                rate=1,
            )
            assert await player._post("stripe-main", ({"X-Signed": "yes"}, b"\x00body"), query) == 200
    finally:
        await runner.cleanup()
    path = "/webhooks/stripe-main"
    assert targets == [(f"{path}?{query}" if query else path, b"\x00body", "yes")]
