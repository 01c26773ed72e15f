"""Looks at the broker: whether it lets us in, the queues, and policies that would lose deliveries."""

from collections.abc import AsyncIterator

from tillkeeper.cli.readiness.finding import ReadinessFinding, off, ok, to_do, wrong
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.broker_look import BrokerLook, look_at_broker
from tillkeeper.lanes.policies import harmful_policies
from tillkeeper.lanes.topology import Topology
from tillkeeper.logs import mask
from tillkeeper.settings import Settings


async def broker(settings: Settings, *, management: str | None) -> AsyncIterator[ReadinessFinding]:
    """Yields the lines about the broker."""
    if settings.broker_url is None:
        yield off("broker", "none is configured: deliveries go through PostgreSQL")
        return
    topology = Topology(prefix=settings.broker_prefix, shards=settings.broker_shards)
    looks = await look_at_broker(settings.broker_url, topology)
    for look in looks:
        yield _host(look)
    if all(not look.failure and not look.missing for look in looks):
        yield await _policies(settings.broker_url, topology, management)


def _host(look: BrokerLook) -> ReadinessFinding:
    if look.failure:
        return wrong(
            "broker",
            f"{look.host}: {mask(' '.join(look.failure.split()))}",
            "start it, or correct broker_url: user, password and vhost; until then deliveries go through PostgreSQL",
        )
    if look.missing:
        return to_do(
            "broker",
            f"{look.host} lets us in; not there yet: {', '.join(look.missing)}",
            "start a worker, which declares them (`tillkeeper work`, or `tillkeeper run`)",
        )
    if look.differs:
        return wrong(
            "broker",
            f"{look.host}: {' '.join(look.differs.split())}",
            "a queue of that name is no quorum queue of ours: drain and delete it, or set another broker_prefix",
        )
    return ok("broker", f"{look.host} lets us in; exchange and quorum queues are as they should be")


async def _policies(broker_url: str, topology: Topology, management: str | None) -> ReadinessFinding:
    try:
        found = await harmful_policies(broker_url, topology, management_url=management)
    except LaneUnavailable:
        return off("broker policies", "not looked at: the management API does not answer", "tillkeeper broker check")
    if found:
        harms = "; ".join(f"{each.queue}: {each.setting} of {each.policy}: {each.means}" for each in found)
        return wrong("broker policies", harms, "take tillkeeper.* out of the policy's pattern (docs/operations.md)")
    return ok("broker policies", "none is in the way")
