"""Policies of the broker's that lose what it confirmed: found by its management API, named where they struck."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiohttp import web

from tests.database.factories import NOON, a_delivery, an_event
from tests.lane_handles import RabbitLane
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.policies import harmful_policies, queues_of
from tillkeeper.lanes.topology import Topology
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.delivery_limit import ERRORS, ParkLoop

BROKER = "amqp://shop:s3cret@127.0.0.1:5672/pay%2Fments"
TOPOLOGY = Topology(prefix="tk", shards=2)


@pytest.fixture
async def management() -> AsyncIterator[tuple[str, dict]]:
    """Its address, and what it says of each queue."""
    told: dict[str, dict] = {queue: {} for queue in queues_of(TOPOLOGY)}

    async def queue(request: web.Request) -> web.Response:
        assert request.match_info["vhost"] == "pay/ments"
        assert request.headers["Authorization"].startswith("Basic ")
        name = request.match_info["name"]
        return web.json_response(told[name]) if name in told else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/api/queues/{vhost}/{name}", queue)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", told
    await runner.cleanup()


async def test_a_policy_that_loses_deliveries_is_named_with_what_comes_of_it(management):
    url, told = management
    assert await harmful_policies(BROKER, TOPOLOGY, management_url=url) == []
    definition = {"message-ttl": 60000, "max-in-memory-length": 1}
    told["tk.park"] = {"policy": "all", "operator_policy": "ops", "effective_policy_definition": definition}
    [harm] = await harmful_policies(BROKER, TOPOLOGY, management_url=url)
    assert (harm.queue, harm.policy, harm.setting, harm.value) == ("tk.park", "all and ops", "message-ttl", 60000)


async def test_where_the_management_api_does_not_tell_nothing_is_said_to_be_well(management):
    url, told = management
    del told["tk.events.1"]
    with pytest.raises(LaneUnavailable, match=r"answered 404 when asked about the queue tk\.events\.1"):
        await harmful_policies(BROKER, TOPOLOGY, management_url=url)
    with pytest.raises(LaneUnavailable, match="does not tell"):
        await harmful_policies(BROKER, TOPOLOGY, management_url="http://127.0.0.1:1")


async def test_the_command_ends_with_what_it_found(management, tmp_path):
    url, told = management
    more = f'broker_url = "{BROKER}"\nbroker_prefix = "tk"\nbroker_shards = 2'
    config = written(tmp_path, toml("postgresql://postgres@127.0.0.1:1/none", more=more))
    command = ("broker", "check", "--management", url, "--config", config)
    assert (await tillkeeper(*command)).out == "No policy is in the way.\n"
    told["tk.events.0"] = {"policy": "all", "effective_policy_definition": {"expires": 1000}}
    ended = await tillkeeper(*command, "--json")
    assert (ended.code, ended.json["harm"][0]["setting"]) == (1, "expires")
    told.clear()
    ended = await tillkeeper(*command)
    assert ended.code == 3
    assert "rabbitmqctl list_queues" in ended.err
    assert "s3cret" not in ended.err


@pytest.mark.rabbitmq
async def test_a_message_that_a_policy_let_expire_is_parked_under_its_true_reason(rabbit_lane: RabbitLane, pool):
    lane, pattern = rabbit_lane, f"^{rabbit_lane.topology.prefix}.events"
    await lane.node.ctl("set_policy", "short", pattern, '{"message-ttl":1}', "--apply-to", "queues")
    try:
        run = uuid4()
        await lane.sender.put(pack(Envelope(run=run, deliveries=(a_delivery(an_event(), run=run, number=1),))))
        receiver = await lane.receiver(shards=())  # nobody works, until it is too late
        park = ParkLoop(lane=receiver, pool=pool, retry=DatabaseRetry(asyncio.Event()), now=lambda: NOON)
        async with asyncio.timeout(120):
            while not await park.run_once():
                pass
    finally:
        await lane.node.ctl("clear_policy", "short")
    [row] = await pool.fetch("SELECT reason, error FROM parked")
    assert tuple(row) == ("expired", ERRORS["expired"])
