"""Draws the pages of docs/desk.md: a desk with the evening of the tests, in the Chromium of this machine.

Run it by `make pictures`.
"""

import asyncio
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import asyncpg
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, async_playwright

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the tests' own orders are what is drawn

from tests.database.factories import NOON  # noqa: E402
from tests.desk_orders import MINUTE, a_busy_till, a_paid_order, a_refunded_order  # noqa: E402
from tests.desks import a_desk, a_person, signed_in  # noqa: E402
from tests.monthly import a_random_quarter  # noqa: E402
from tillkeeper.desk.app import build_app  # noqa: E402
from tillkeeper.desk.pages.claim.binding import BINDING, subject_of  # noqa: E402
from tillkeeper.desk.paths import order_path  # noqa: E402
from tillkeeper.desk.person import Locale, Person, Role  # noqa: E402
from tillkeeper.sandbox.accounts import new_signers  # noqa: E402
from tillkeeper.sandbox.servers import Postgres  # noqa: E402
from tillkeeper.sandbox.simulators.registry import simulator_of  # noqa: E402
from tillkeeper.sandbox.traffic.first_look import ACCOUNT, AGO, MISTYPED, FirstLook  # noqa: E402
from tillkeeper.settings import Settings  # noqa: E402
from tillkeeper.store.people.approvals import propose  # noqa: E402
from tillkeeper.store.postgres.pool import open_pool  # noqa: E402

PICTURES: Final = ROOT / "docs" / "pictures"
BYTES_MAX: Final = 200_000
NOW: Final = NOON + 24 * MINUTE
# The picture's name, the page, its language, colours, width and height.
SHOTS: Final[tuple[tuple[str, str, Locale, str, int, int], ...]] = (
    ("desk-first-ask-en", order_path("SHOP-1042", "claim"), "en", "light", 1200, 560),
    ("desk-first-bind-en", order_path("SHOP-1043", "claim"), "en", "light", 1200, 660),
    ("desk-first-replay-en", "/parked/many?act=replay&id=1", "en", "light", 1200, 480),
    ("desk-now-en", "/", "en", "light", 1200, 900),
    ("desk-order-en", order_path("ORD-1042"), "en", "light", 1200, 900),
    ("desk-stuck-zh", "/stuck", "zh", "dark", 1200, 640),
    ("desk-reports-en", "/reports?month=2026-10", "en", "light", 1200, 900),
    ("desk-order-phone-zh", order_path("ORD-1043"), "zh", "light", 390, 844),
)


async def main() -> int:
    """Draws them all; returns the exit code."""
    program = shutil.which("chromium")
    if program is None:
        print("Pictures need chromium (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Postgres())
        evening, first_look = await _an_evening(stack, server), await _a_first_look(stack, server)
        quarter = await _a_quarter(stack, server)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        stack.push_async_callback(browser.close)
        for name, path, locale, scheme, width, height in SHOTS:
            person = a_person(Role.OPERATOR, locale)
            target = PICTURES / f"{name}.png"
            pool = first_look if name.startswith("desk-first-") else quarter if "reports" in name else evening
            await _draw(browser, pool, person, path, target, scheme=scheme, width=width, height=height)
            print(f"{target.relative_to(ROOT)}  {target.stat().st_size:,} bytes")
            if target.stat().st_size > BYTES_MAX:
                print(f"that is over {BYTES_MAX:,} bytes", file=sys.stderr)
                return 1
    return 0


async def _an_evening(stack: AsyncExitStack, server: Postgres) -> asyncpg.Pool:
    pool = await _a_database(stack, server, "evening")
    for story in (a_paid_order, a_refunded_order, a_busy_till):
        await story(pool)
    return pool


async def _a_quarter(stack: AsyncExitStack, server: Postgres) -> asyncpg.Pool:
    pool = await _a_database(stack, server, "quarter")
    async with pool.acquire() as conn:
        await a_random_quarter(conn, "a picture", orders=3000)
    return pool


async def _a_first_look(stack: AsyncExitStack, server: Postgres) -> asyncpg.Pool:
    """What `make run` leaves, with the binding that the first of two people has proposed."""
    pool = await _a_database(stack, server, "first_look")
    signer = new_signers(("alipay",))[ACCOUNT]
    account = {"gateway": signer.gateway, **simulator_of(signer.gateway).settings(signer)}
    settings = Settings(database_url="postgresql://localhost/unused", accounts={ACCOUNT: account})
    look = FirstLook(signer, settings.build_gateways()[ACCOUNT], at=NOW - AGO)
    await look.leave(pool)
    content = {"account": ACCOUNT, "payment_ref": look.mistyped.payment_ref, "order_ref": MISTYPED}
    why = "The customer sent their receipt; the checkout wrote O for 0."
    subject = subject_of(ACCOUNT, look.mistyped.payment_ref)
    async with pool.acquire() as conn, conn.transaction():
        await propose(conn, act=BINDING, subject=subject, content=content, reason=why, by="admin", now=NOW - MINUTE)
    return pool


async def _a_database(stack: AsyncExitStack, server: Postgres, name: str) -> asyncpg.Pool:
    url = await server.create_database(name)
    connection = await asyncpg.connect(url)
    await connection.execute((ROOT / "schema.sql").read_text())
    await connection.close()
    return await stack.enter_async_context(await open_pool(url, max_size=4))


async def _draw(
    browser: Browser,
    pool: asyncpg.Pool,
    person: Person,
    path: str,
    target: Path,
    *,
    scheme: str,
    width: int,
    height: int,
) -> None:
    desk = a_desk(pool, now=lambda: NOW)
    async with TestServer(build_app(desk, signed_in(person))) as server:
        page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        await page.goto(str(server.make_url(path)), wait_until="load")
        await page.screenshot(path=target)
        await page.close()
        await desk.feed.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
