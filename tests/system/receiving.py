"""What tests of the receiver share: settings, signed deliveries, raw requests, and a look into the spool."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from tillkeeper import clock
from tillkeeper.domain.delivery import Delivery, unpack
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.simulators.stripe.objects import stripe_payment_intent
from tillkeeper.sandbox.simulators.stripe.signing import stripe_delivery
from tillkeeper.settings import Settings

SECRET = "whsec_of_the_system_tests"
TOKEN = "token-of-the-system-tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
PATH = "/webhooks/stripe-main"
LOOK_EVERY_S = 0.02
ACCOUNT = {"gateway": "stripe", "webhook_secrets": [SECRET]}


def some_settings(database: str, **changes: object) -> Settings:
    ingest = {"port": 0, "metrics_port": 0, **changes.pop("ingest", {})}
    told = {
        "database_url": database,
        "api_tokens": [TOKEN],
        "accounts": {"stripe-main": ACCOUNT},
        "ingest": ingest,
        **{role: {"metrics_port": 0} for role in ("work", "sweep", "notify")},
    }
    return Settings.model_validate(told | changes)


def a_delivery(
    event_id: str = "evt_1",
    *,
    secret: str = SECRET,
    now: datetime | None = None,
    event_type: str = "payment_intent.succeeded",
    order_ref: str = "ORDER-1",
) -> Signed:
    subject = stripe_payment_intent(f"pi_{event_id}", 12900, "cny", order_ref)
    return stripe_delivery(secret, now or clock.now(), event_type, subject, id=event_id)


def wire(signed: Signed, *, path: str = PATH, extra: bytes = b"") -> bytes:
    """A delivery as bytes on the wire."""
    headers, body = signed
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: t\r\n".encode()
        + lines
        + extra
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )


async def exchange(port: int, sent: bytes, *, within_s: float = 60.0) -> bytes:
    """Everything that comes back until the server closes; fails the test if it does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(within_s):
            writer.write(sent)
            try:
                await writer.drain()
                return await reader.read()
            except ConnectionResetError:
                return b""
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def deliveries_in(connection: asyncpg.Connection) -> list[Delivery]:
    """What the PostgreSQL lane holds."""
    rows = await connection.fetch("SELECT body FROM spool ORDER BY position")
    return [delivery for row in rows for delivery in unpack(row["body"]).deliveries]


@asynccontextmanager
async def spool_held(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """While inside, nothing becomes durable in PostgreSQL."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE spool IN EXCLUSIVE MODE")
        yield


async def somebody_waits(connection: asyncpg.Connection) -> None:
    """Returns when a put stands before the lock of `spool_held`."""

    async def waits() -> bool:
        return bool(
            await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE relation = 'spool'::regclass AND NOT granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )

    await until(waits)


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float = 240.0) -> None:
    """Looks again and again: for what another process does, and tells nobody of."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(LOOK_EVERY_S)
