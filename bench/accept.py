"""Accept: how much a receiver takes, and how fast it answers, beside a bare handler under the same load."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Literal

import asyncpg
import msgspec

from bench import cost
from bench.house import Broken, House, Load, Ours, load
from bench.load import Drive, Driven, Prepare
from bench.report import Section, Target
from bench.sizes import Sizes

CONNECTIONS: Final = 64
RATIO_WANTED: Final = 0.65
P99_ABOVE_WANTED_MS: Final = 5.0


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    name: str
    lane: Literal["broker", "spool"] | None  # None: the bare handler
    processes: int = 1
    what: Literal["stripe", "mix"] = "stripe"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A contestant's figures."""

    full: Driven
    half: Driven
    cpu_s: float  # at full load


BARE: Final = Contestant(name="bare aiohttp", lane=None)
BARE_AGAIN: Final = Contestant(name="bare aiohttp, again", lane=None)
BROKER: Final = Contestant(name="receiver, quorum queue", lane="broker")
CONTESTANTS: Final = (
    BARE,
    BROKER,
    Contestant(name="2 receivers, quorum queue", lane="broker", processes=2),
    Contestant(name="receiver, mix of gateways", lane="broker", what="mix"),
    Contestant(name="receiver, PostgreSQL lane", lane="spool"),
    BARE_AGAIN,  # the machine's speed drifts; the mean of both is the measure
)


async def measure(house: House, sizes: Sizes) -> Section:
    """All contestants, one after the other."""
    found: dict[Contestant, Measured] = {}
    for contestant in CONTESTANTS:
        if contestant.lane != "broker" or house.broker is not None:
            found[contestant] = await _measure(house, contestant, sizes)
    bare_rate = (found[BARE].full.rate + found[BARE_AGAIN].full.rate) / 2
    bare_p99_ms = (found[BARE].half.p99_ms + found[BARE_AGAIN].half.p99_ms) / 2
    ours = found.get(BROKER)
    return Section(
        name="accept",
        title=f"Accept, {CONNECTIONS} connections",
        rows=[_row(contestant, measured, bare_rate) for contestant, measured in found.items()],
        targets=[] if ours is None else _targets(ours, bare_rate, bare_p99_ms),
        notes=[
            "Mix: half Stripe, a quarter each Alipay and WeChat Pay, on the quorum queue.  Ratio: to the mean of both",
            "bare runs.  CPU: s per 1,000 requests, of the receiver or the bare process.  Half load: posts due at half",
            "of the row's own rate, latency from when a post was due; up to 1 ms of it is the load's own timer.",
        ],
    )


async def _measure(house: House, contestant: Contestant, sizes: Sizes) -> Measured:
    async with _set_up(house, contestant) as ours, load() as posting:
        await posting.prepare(Prepare(what=contestant.what, requests=sizes.requests, private_key=house.private_key))
        await posting.drive(Drive(port=ours.port, connections=CONNECTIONS, seconds=sizes.warm_up_s))
        before_s = cost.cpu_s(ours.pid)
        full = await _drive(posting, Drive(port=ours.port, connections=CONNECTIONS, seconds=sizes.seconds))
        cpu_s = cost.cpu_s(ours.pid) - before_s
        rate = full.rate / 2
        paced = Drive(port=ours.port, connections=CONNECTIONS, rate=rate, requests=max(1, int(rate * sizes.seconds)))
        half = await _drive(posting, paced)
        return Measured(full=full, half=half, cpu_s=cpu_s)


async def _drive(posting: Load, drive: Drive) -> Driven:
    driven = await posting.drive(drive)
    if driven.refused:
        raise Broken(f"answers by status: {driven.answers}")
    return driven


@asynccontextmanager
async def _set_up(house: House, contestant: Contestant) -> AsyncIterator[Ours]:
    async with AsyncExitStack() as stack:
        if contestant.lane is None:
            yield await stack.enter_async_context(house.bare())
            return
        dsn = await stack.enter_async_context(house.database())
        queues = await stack.enter_async_context(house.queues()) if contestant.lane == "broker" else None
        yield await stack.enter_async_context(house.receiver(dsn, queues=queues, processes=contestant.processes))
        if queues is not None:
            await _refuse_spooled(dsn)


async def _refuse_spooled(dsn: str) -> None:
    """What the broker did not confirm in time went to the spool; then the row would not be the broker's."""
    connection = await asyncpg.connect(dsn)
    try:
        if spooled := await connection.fetchval("SELECT count(*) FROM spool"):
            raise Broken(f"{spooled} envelopes were not confirmed by the broker and went to the spool")
    finally:
        await connection.close()


def _row(contestant: Contestant, measured: Measured, bare_rate: float) -> dict[str, str | float]:
    return {
        "": contestant.name,
        "events/s": measured.full.rate,
        "ratio": measured.full.rate / bare_rate,
        "p50 ms": measured.full.p50_ms,
        "p99 ms": measured.full.p99_ms,
        "CPU": measured.cpu_s * 1000 / measured.full.accepted,
        "half load/s": measured.half.rate,
        "its p50": measured.half.p50_ms,
        "its p99": measured.half.p99_ms,
        "its max": measured.half.max_ms,
    }


def _targets(ours: Measured, bare_rate: float, bare_p99_ms: float) -> list[Target]:
    ratio = ours.full.rate / bare_rate
    above_ms = ours.half.p99_ms - bare_p99_ms
    return [
        Target(name="accept, quorum queue / bare", measured=ratio, wanted=RATIO_WANTED, at_least=True),
        Target(name="p99 at half load above bare, ms", measured=above_ms, wanted=P99_ABOVE_WANTED_MS, at_least=False),
    ]
