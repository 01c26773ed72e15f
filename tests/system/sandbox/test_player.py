"""What the player posts arrives as its gateway signed it."""

import pytest
from aiohttp import web

from sandbox.accounts import impostors_of
from sandbox.forgery import Forger
from sandbox.player import Player, open_session
from sandbox.posting_log import PostingLog
from sandbox.truth.ledger import Ledger


@pytest.mark.parametrize("query", ["", "id=%2f1&type=payment", "data.id=a+b%20c&x", "u=%E4%B8%AD:/?@"])
async def test_the_url_is_posted_to_just_as_it_was_signed(voices, query):
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
            player = Player(
                session=session,
                voices=voices,
                forger=Forger(voices, impostors_of(voices)),
                log=PostingLog(list(voices)),
                ledger=Ledger({}),
                seed=1,
                run="T",
                rate=1,
            )
            assert await player._post("stripe-main", ({"X-Signed": "yes"}, b"\x00body"), query) == 200
    finally:
        await runner.cleanup()
    path = "/webhooks/stripe-main"
    assert targets == [(f"{path}?{query}" if query else path, b"\x00body", "yes")]
