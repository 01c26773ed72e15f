"""docs/one-event.md names each function that one webhook passes, in order: a real delivery is traced, and compared."""

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import aiohttp

from tests.system.receiving import AUTHORIZED, a_delivery, exchange, some_settings, status_of, wire
from tillkeeper import clock
from tillkeeper.ingest.server import receiver
from tillkeeper.lanes.spool import SpoolReceiver
from tillkeeper.policy import load_policy
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "one-event.md").read_text()
OURS = f"{ROOT}/tillkeeper/"
ORDER = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
Passed = tuple[str, str]  # a file and a function of it


def named() -> list[Passed]:
    """The rows of the page's tables, in the order of the page."""
    return re.findall(r"^\| `([\w/]+\.py)` \| `([\w.]+)` \| ", PAGE, re.MULTILINE)


@contextmanager
def traced(passed: list[Passed]) -> Iterator[None]:
    """Notes each of our functions as it begins; a coroutine that goes on after a wait does not begin again."""
    begun: set[FrameType] = set()  # kept alive, so that no later frame is taken for one of these

    def note(frame: FrameType, what: str, _argument: object) -> None:
        code = frame.f_code
        if what == "call" and frame not in begun and code.co_filename.startswith(OURS):
            begun.add(frame)
            path = str(Path(code.co_filename).resolve().relative_to(ROOT))
            passed.append((path, code.co_qualname.replace(".<locals>", "")))

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


async def test_a_delivery_passes_the_functions_of_the_page_in_their_order(database, pool):
    passed: list[Passed] = []
    async with receiver(some_settings(database)) as port:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            assert (await client.put("/orders/ORDER-1", json=ORDER, headers=AUTHORIZED)).status == 201
        with traced(passed):
            answer = await exchange(port, wire(a_delivery(), extra=b"Connection: close\r\n"))
    assert status_of(answer) == 200
    lane, policy, retry = await SpoolReceiver.open(pool, database), load_policy(), DatabaseRetry(asyncio.Event())
    loop = ApplyLoop(lane=lane, pool=pool, retry=retry, policy=lambda: policy, now=clock.now, batch_events=10)
    with traced(passed):
        assert await loop.run_once() == 1
    await lane.close()
    assert await pool.fetchval("SELECT topic FROM outbox") == "order.status_changed"
    after = iter(passed)
    for place in named():
        assert place in after, f"{' '.join(place)} is not passed, or not after what stands above it"


def test_each_row_of_the_page_is_compared():
    assert len(named()) == len(re.findall(r"^\| `", PAGE, re.MULTILINE)) > 50
