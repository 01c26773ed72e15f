"""Traces, as a collector gets them from programs that run: from a signed webhook to the merchant's endpoint."""

import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.collector import Collector, Told, collecting
from tests.notice_servers import http_server
from tests.system.commands import ENVIRON, serving, toml, written
from tests.system.receiving import AUTHORIZED, PATH, SECRET, TOKEN, a_delivery
from tillkeeper.sandbox.servers.child import free_ports

ROOT = Path(__file__).parents[2]
ORDER = {
    "amount": 12900,
    "currency": "CNY",
    "accounts": ["stripe-main"],
    "payer": {"email": "mei@example.com", "phone": "+8613800138000", "locale": "zh"},
}


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


def configured(directory: Path, database: str, endpoint: str, *, more: str = "", rest: str = "") -> Path:
    return written(directory, f'{toml(database, more=more)}\n[tracing]\nendpoint = "{endpoint}"\n{rest}')


def shop(url: str, secret: str) -> str:
    settings = "allow_private_addresses = true\nallow_plain_http = true"
    return f'[notify]\n{settings}\n[notify.webhooks.shop]\nurl = "{url}"\nsecrets = ["{secret}"]'


def names(way: list[Told]) -> list[str]:
    return [span.name for span in way]


async def post(client: aiohttp.ClientSession, event_id: str = "evt_1", **headers: str) -> int:
    signed, body = a_delivery(event_id)
    async with client.post(PATH, data=body, headers={**signed, **headers}) as answer:
        return answer.status


async def test_one_trace_goes_from_a_signed_webhook_over_each_lane_to_the_merchants_endpoint(
    tmp_path, database, collector, lane
):
    async with http_server() as merchant:
        rest = shop(merchant.url, merchant.secret)
        config = configured(tmp_path, database, collector.endpoint, more=lane, rest=rest)
        programs = [serving(role, "--config", config) for role in ("work", "notify", "ingest")]
        async with programs[0], programs[1], programs[2] as ingest:
            port = (await ingest.saw("ingest_listening"))["port"]
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                assert (await client.put("/orders/ORDER-1", json=ORDER, headers=AUTHORIZED)).status == 201
                assert await post(client) == 200
            [committed] = await collector.named("commit", service="tillkeeper-work")
            [received] = await collector.named(f"POST {PATH}")
            [told] = await collector.named("POST")
            for each in ("process events", "notify merchant"):
                await collector.named(each)
    applied = [f"POST {PATH}", "send events", "process events", "transaction"]
    assert names(collector.way_to(committed)) == [*applied, "commit"]
    assert names(collector.way_to(told)) == [*applied, "notify merchant", "POST"]
    assert [each[:-2] for each in merchant.traceparents] == [f"00-{received.trace}-{told.id}-"]
    stages = [span for span in collector.spans if span.parent == committed.parent]
    assert {span.name for span in stages} == {"load", "decide", "write", "commit", "notify merchant"}
    assert (received.kind, received.attributes["http.response.status_code"]) == ("SERVER", 200)
    assert nothing_personal_or_secret(collector, database)


def nothing_personal_or_secret(collector: Collector, database: str) -> bool:
    """What the order's registration, the delivery and the settings hold, and no collector is to hear."""
    words = ("ORDER-1", "mei@example.com", "13800138000", "pi_evt_1", "evt_1", SECRET, TOKEN, database)
    sent = b"".join(collector.bodies)
    return bool(sent) and not [word for word in words if word.encode() in sent]


async def test_a_line_of_the_log_names_its_trace_and_strangers_choose_no_trace(tmp_path, database, collector):
    config = configured(tmp_path, database, collector.endpoint)
    theirs = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    async with serving("ingest", "--config", config) as ingest:
        port = (await ingest.saw("ingest_listening"))["port"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            assert await post(client, **theirs, **{"Stripe-Signature": "t=1,v1=00"}) == 401
            assert (await client.get("/orders/ORDER-1", headers=theirs)).status == 401
            assert (await client.get("/orders/ORDER-1", headers={**AUTHORIZED, **theirs})).status == 404
        refused = await ingest.saw("delivery_refused")
        [received] = await collector.named(f"POST {PATH}")
        stranger, known = await collector.named("GET /orders/{order_ref}", times=2)
    assert refused["tillkeeper_trace_id"] == received.trace
    assert received.attributes["http.response.status_code"] == 401
    assert "a" * 32 not in (received.trace, stranger.trace)
    assert (known.trace, known.parent) == ("a" * 32, "b" * 16)
    assert "tillkeeper_trace_id" not in ingest.lines[0]


async def test_who_sets_the_header_at_the_edge_may_have_it_gone_on_with_and_chance_decides_on_no_other(
    tmp_path, database, collector
):
    config = configured(tmp_path, database, collector.endpoint, rest="ratio = 0.0\ntrust_webhook_parents = true")
    parents = {"recorded": f"00-{'a' * 32}-{'b' * 16}-01", "not": f"00-{'c' * 32}-{'d' * 16}-00", "none": "rubbish"}
    async with serving("ingest", "--config", config) as ingest:
        port = (await ingest.saw("ingest_listening"))["port"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            for at, parent in enumerate((*parents.values(), parents["recorded"])):
                assert await post(client, f"evt_{at}", traceparent=parent) == 200
        sent = await collector.named("send events", times=2)
        received = await collector.named(f"POST {PATH}", times=2)
    assert {span.trace for span in collector.spans} == {"a" * 32}
    assert {span.parent for span in received} == {"b" * 16}
    assert {span.parent for span in sent} == {span.id for span in received}


async def test_a_collector_that_refuses_costs_spans_alone_and_the_log_tells_it_once(tmp_path, database, collector):
    config = configured(tmp_path, database, collector.endpoint)
    collector.status = 500
    async with serving("ingest", "--config", config) as ingest:
        port = (await ingest.saw("ingest_listening"))["port"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            for number in range(3):
                collector.asked.clear()
                assert await post(client, f"evt_{number}") == 200
                await collector.asked.wait()
            begun = await ingest.saw("traces_not_sent")
            collector.status = 200
            assert await post(client, "evt_again") == 200
            await ingest.saw("traces_sent_again")
        ingest.child.terminate()
        assert await ingest.ended() == 0
    assert "500" in begun["error"]
    assert ingest.events().count("traces_not_sent") == 1
    assert set(ingest.other) <= {""}  # nothing of the library's own


@pytest.mark.parametrize("how", ["hangs", "is away"])
async def test_a_process_stops_in_good_order_whatever_its_collector_does(tmp_path, database, collector, how):
    collector.hangs = True
    [closed] = free_ports(1)
    endpoint = collector.endpoint if how == "hangs" else f"http://127.0.0.1:{closed}/v1/traces"
    config = configured(tmp_path, database, endpoint)
    async with serving("ingest", "--config", config) as ingest:
        port = (await ingest.saw("ingest_listening"))["port"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            assert await post(client) == 200
        if how == "hangs":
            await collector.asked.wait()
        ingest.child.terminate()
        assert await ingest.ended() == 0
    assert "ingest_stopped" in ingest.events()
    assert set(ingest.other) <= {""}


WITHOUT_IT = "import sys; sys.modules['opentelemetry'] = None; from tillkeeper.cli import main; main()"


def test_where_opentelemetry_is_not_installed_the_setting_is_refused_in_a_line_that_says_what_to_do(tmp_path, database):
    config = configured(tmp_path, database, "http://127.0.0.1:4318/v1/traces")
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_IT, "work", "--config", str(config)],
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pip install 'tillkeeper[otel]'" in ended.stderr
    assert "Traceback" not in ended.stderr
