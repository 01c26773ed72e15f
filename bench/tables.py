"""How large each table grows: rows and bytes for each delivery, over a lossy day with its sweeps, notices and cases.

`python -m bench.tables` prints what stands in docs/data.md.  Sizes do not depend on how busy the machine is.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Final

import asyncpg
import msgspec
import typer
import uvloop
from msgspec.structs import replace

from tillkeeper.logs import set_up_logging
from tillkeeper.sandbox.scenarios.asking_to_pay import payer_of
from tillkeeper.sandbox.scenarios.delivery_faults import DeliveryCounts, DeliveryFaults, arrivals
from tillkeeper.sandbox.scenarios.lossy_day import DOUBLED, EXPIRES_AFTER, LATE, LOST
from tillkeeper.sandbox.scenarios.run import BEGINS_AT, ProgressLine, ScenarioOptions, open_system, simulate_gateways
from tillkeeper.sandbox.scenarios.simulation import MerchantOptions, Simulation
from tillkeeper.sandbox.scenarios.templates import DAY_TEMPLATES
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.servers.memory import place_in_memory

DELIVERIES_A_DAY: Final = 100_000
ROWS_MIN: Final = 100  # of fewer rows the bytes are those of empty pages

# A table in parts has the size of its parts.
TABLES: Final = """
SELECT c.relname AS "table",
       CASE WHEN c.relkind = 'p' THEN (SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) p)
            ELSE pg_total_relation_size(c.oid) END::bigint AS bytes
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""
BODIES: Final = "SELECT avg(octet_length(body))::int FROM delivery_bodies"


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one table."""

    table: str
    rows: int
    size_bytes: int

    def line(self, deliveries: int) -> str:
        """Writes it as a row of the table: rows for a delivery, bytes for a row, megabytes for a day."""
        if self.rows < ROWS_MIN:
            return f"{self.table:<18} {self.rows:>8} {'':>8} {'':>8} {'':>8}"
        each, a_day = self.rows / deliveries, self.size_bytes / deliveries * DELIVERIES_A_DAY / 1e6
        return f"{self.table:<18} {self.rows:>8} {each:>8.2f} {self.size_bytes / self.rows:>8.0f} {a_day:>8.1f}"


def main(
    payments: Annotated[int, typer.Option(min=100)] = 3_000,
    days: Annotated[int, typer.Option(min=1, max=9)] = 9,
    seed: int = 1,
) -> None:
    """Plays one day of payments and the days after it, and prints the size of every table."""
    set_up_logging("tables", level="CRITICAL")
    options = ScenarioOptions(seed=seed, payments=payments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        grown, body_bytes = runner.run(_played(options, BEGINS_AT + timedelta(days=days)))
    deliveries = next(each.rows for each in grown if each.table == "deliveries")
    print(f"{deliveries} deliveries of {payments} payments, bodies of {body_bytes} bytes\n")
    print(f"{'table':<18} {'rows':>8} {'each':>8} {'B/row':>8} {'MB/day':>8}")
    for each in grown:
        print(each.line(deliveries))


async def _played(options: ScenarioOptions, ends_at: datetime) -> tuple[list[Grown], int]:
    simulated = simulate_gateways(options, DAY_TEMPLATES)
    faults = DeliveryFaults(lost=LOST, doubled=DOUBLED, late=LATE, silent_periods=())
    counts = DeliveryCounts()
    async with Postgres(place_in_memory()) as postgres, open_system(simulated, postgres, options=options) as system:
        day = Simulation(
            system,
            simulated.signers,
            stories=simulated.stories,
            arrivals=arrivals(simulated.stories, faults, seed=options.seed, counts=counts),
            merchant=MerchantOptions(expires_after=EXPIRES_AFTER, mail=payer_of),
            sweeps=True,
        )
        async with system.pool.acquire() as conn:
            empty = {each.table: each.size_bytes for each in await _grown(conn)}
        await day.run(until=ends_at, show=ProgressLine(lambda line: print(line, flush=True), "day"))
        async with system.pool.acquire() as conn:
            grown, body_bytes = await _grown(conn), await conn.fetchval(BODIES)
    # Less what an empty table takes, which is some pages, and those of each of its parts.
    return [replace(each, size_bytes=each.size_bytes - empty[each.table]) for each in grown], body_bytes


async def _grown(conn: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> list[Grown]:
    """Measures every table as it is after vacuum, which frees what updates left."""
    await conn.execute("VACUUM ANALYZE")
    found = []
    for name, size_bytes in await conn.fetch(TABLES):
        rows = await conn.fetchval(f'SELECT count(*) FROM "{name}"')
        found.append(Grown(table=name, rows=rows, size_bytes=size_bytes))
    return found


if __name__ == "__main__":
    typer.run(main)
