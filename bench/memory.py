"""Memory: what receiver and worker hold after each tenth of a long run."""

from typing import Final

from bench import cost
from bench.deliveries import orders_of
from bench.end_to_end import line, post
from bench.house import House
from bench.load import Prepare
from bench.progress import insist_applied, until_delivered, until_written
from bench.report import Figure, Section, Target
from bench.sizes import Sizes

PARTS: Final = 10
LAST_THIRD: Final = 7  # parts done when it begins
MIB_WANTED: Final = 150.0
GROWTH_WANTED: Final = 0.05  # over the last third: flat, but for noise
WATCHED: Final = ("receiver", "worker")


async def measure(house: House, sizes: Sizes) -> Section:
    """Posts a tenth at full speed, looks, waits until it is applied, and goes on."""
    part = sizes.memory_events // PARTS
    async with line(house, orders=orders_of(part * PARTS)) as running:
        await running.posting.prepare(Prepare(what="fresh"))
        samples = [{name: cost.rss_mib(running.pids[name]) for name in WATCHED}]
        for done in range(1, PARTS + 1):
            await post(running, requests=part)
            samples.append({name: cost.rss_mib(running.pids[name]) for name in WATCHED})
            await until_written(running.connection, done * part)
        await until_delivered(running.connection, part * PARTS)
        await insist_applied(running.connection, part * PARTS)
    rows: list[dict[str, Figure]] = [
        {"events": f"{done * part:,}", **{f"{name} MiB": sample[name] for name in WATCHED}}
        for done, sample in enumerate(samples)
    ]
    return Section(
        name="memory",
        title=f"Memory over {part * PARTS:,} events, each tenth at full speed",
        rows=rows,
        targets=[target for name in WATCHED for target in _targets(name, [sample[name] for sample in samples])],
    )


def _targets(name: str, mib: list[float]) -> list[Target]:
    growth = mib[-1] / mib[LAST_THIRD] - 1
    return [
        Target(name=f"{name}: most MiB", measured=max(mib), wanted=MIB_WANTED, at_least=False),
        Target(name=f"{name}: growth in the last third", measured=growth, wanted=GROWTH_WANTED, at_least=False),
    ]
