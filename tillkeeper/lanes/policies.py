"""Finds policies of the broker that would lose messages of Tillkeeper's queues, through the management API.

A policy for all queues is easily made, and AMQP does not show it.  Of two numbers RabbitMQ takes the lower one of
policy and queue argument, so that no argument of ours protects against it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import msgspec

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.broker_connection import broker_urls
from tillkeeper.lanes.topology import Topology

ANSWER_S: Final = 10.0
MANAGEMENT_PORT: Final = 15672

HARM: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message-ttl": "confirmed deliveries that wait for longer are dropped, without a trace in the park queue",
        "expires": "the queue is deleted, with all that is in it, once no worker was there for so long",
        "max-length": "a full queue refuses deliveries, and a full park queue loses what was given up",
        "max-length-bytes": "a full queue refuses deliveries, and a full park queue loses what was given up",
        "delivery-limit": "messages are given up after fewer deliveries than Tillkeeper counts on",
    }
)


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of a policy that would lose messages of a queue of ours, and how."""

    queue: str
    policy: str
    setting: str
    value: object
    means: str


def queues_of(topology: Topology) -> list[str]:
    """Returns the names of the queues that hold confirmed messages."""
    return [*(topology.queue(shard) for shard in range(topology.shards)), topology.park]


async def harmful_policies(broker_url: str, topology: Topology, *, management_url: str | None) -> list[Harm]:
    """Finds the harmful settings of the broker's policies.  Raises LaneUnavailable without its management API."""
    url = broker_urls(broker_url, name="tillkeeper check")[0]
    base = management_url or f"http://{url.host}:{MANAGEMENT_PORT}"
    vhost = quote(unquote(urlsplit(broker_url).path[1:]) or "/", safe="")
    login = {"Authorization": aiohttp.encode_basic_auth(url.user or "guest", url.password or "guest")}
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    found = list[Harm]()
    try:
        async with aiohttp.ClientSession(headers=login, timeout=timeout) as session:
            for queue in queues_of(topology):
                async with session.get(f"{base}/api/queues/{vhost}/{quote(queue, safe='')}") as answer:
                    if answer.status != 200:  # noqa: PLR2004 - HTTP's own
                        raise LaneUnavailable(f"{base} answered {answer.status} when asked about the queue {queue}")
                    found += _harm(queue, await answer.json())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise LaneUnavailable(f"{base} does not tell: {error!r}") from error
    return found


def _harm(queue: str, description: dict[str, Any]) -> list[Harm]:
    names = [str(description[name]) for name in ("policy", "operator_policy") if description.get(name)]
    settings = description.get("effective_policy_definition") or {}
    return [
        Harm(queue=queue, policy=" and ".join(names), setting=name, value=value, means=HARM[name])
        for name, value in settings.items()
        if name in HARM
    ]
