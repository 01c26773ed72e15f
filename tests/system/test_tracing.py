"""Traces, as a collector gets them from programs that run: from a signed webhook to the committed transaction."""

from pathlib import Path

import aiohttp
import pytest

from tests.collector import Collector, collecting
from tests.system.commands import serving, toml, written
from tests.system.receiving import AUTHORIZED, PATH, a_delivery

ORDER = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}


@pytest.fixture
async def collector():
    async with collecting() as listening:
        yield listening


@pytest.fixture(params=[pytest.param("rabbitmq", marks=pytest.mark.rabbitmq), "spool"])
def lane(request) -> str:
    if request.param == "rabbitmq":
        broker = request.getfixturevalue("broker_url"), request.getfixturevalue("broker_prefix")
        return 'broker_url = "{}"\nbroker_prefix = "{}"'.format(*broker)
    return ""


def configured(directory: Path, database: str, collector: Collector, *, more: str = "", tracing: str = "") -> Path:
    told = f'[tracing]\nendpoint = "{collector.endpoint}"\n{tracing}'
    return written(directory, f"{toml(database, more=more)}\n{told}")


async def test_one_trace_goes_from_a_signed_webhook_to_the_committed_transaction(tmp_path, database, collector, lane):
    config = configured(tmp_path, database, collector, more=lane)
    async with serving("work", "--config", config), serving("ingest", "--config", config) as ingest:
        port = (await ingest.saw("ingest_listening"))["port"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            assert (await client.put("/orders/ORDER-1", json=ORDER, headers=AUTHORIZED)).status == 201
            headers, body = a_delivery()
            assert (await client.post(PATH, data=body, headers=headers)).status == 200
        [committed] = await collector.saw(lambda span: span.service == "tillkeeper-work" and span.name == "commit")
        await collector.saw(lambda span: span.name == "process events")
        await collector.saw(lambda span: span.name == f"POST {PATH}")
    way = {span.id: span for span in collector.spans if span.trace == committed.trace}
    up, names = committed, []
    while up.parent:
        names.append(up.name)
        up = way[up.parent]
    assert [*names, up.name] == ["commit", "transaction", "process events", "send events", f"POST {PATH}"]
    assert (up.service, committed.service) == ("tillkeeper-ingest", "tillkeeper-work")
