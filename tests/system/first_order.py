"""The first order of a new installation: its secrets are filled in, everything is started, and a webhook pays it."""

import asyncio
import re
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from tests.system.receiving import PATH, SECRET, a_delivery, until
from tillkeeper.loops import start


def fill_in(env_file: Path, port: int) -> str:
    """What the person does whom the file asks; gives the token for /orders."""
    text = env_file.read_text().replace("STRIPE_WEBHOOK_SECRET=", f"STRIPE_WEBHOOK_SECRET={SECRET}")
    text = text.replace("STRIPE_API_KEY=", "STRIPE_API_KEY=sk_test_of_the_first_order_77")
    metrics = "".join(f"TILLKEEPER_{role}__METRICS_PORT=0\n" for role in ("INGEST", "WORK", "SWEEP", "NOTIFY"))
    env_file.write_text(f"{text}TILLKEEPER_INGEST__PORT={port}\n{metrics}")
    [token] = re.findall(r"^API_TOKEN=(.+)$", text, re.MULTILINE)
    return token


async def is_paid_by(run: Sequence[str], *, environ: dict[str, str] | None, token: str, port: int) -> None:
    """Starts everything, registers an order, and posts what its gateway would post."""
    child = await asyncio.create_subprocess_exec(*run, env=environ, stderr=PIPE)
    logged = start(child.stderr.read(), name="log")
    try:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as client:
            await until(lambda: _is_ready(client))
            order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
            async with client.put("/orders/ORDER-1", json=order) as answer:
                assert answer.status == 201, await answer.text()
            signed, body = a_delivery("evt_1")
            async with client.post(PATH, headers=signed, data=body) as answer:
                assert answer.status == 200, await answer.text()
            await until(lambda: _is_paid(client))
    finally:
        child.terminate()
        assert await asyncio.wait_for(child.wait(), 90) == 0, (await logged).decode()[-3000:]


async def _is_ready(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _is_paid(client: aiohttp.ClientSession) -> bool:
    async with client.get("/orders/ORDER-1") as answer:
        return (await answer.json())["status"] == "paid"
