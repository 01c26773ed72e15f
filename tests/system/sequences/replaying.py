"""Plays a sequence: orders, deliveries and a gateway's API as a file has them, against the real store and sweep.

A file names `accounts` (tables of the configuration), `orders` (as PUT registers them), `api` (by account, what a path
answers: [status, body]), `steps`, and what `expect` wants of each order in the end.  `{API}` in a setting is where the
API listens.  Steps: `deliver` (account, body, `sign`: stripe, or static for headers that are good as they stand), `ask`
(an order's reference), `wait` (how long, "2h"), `api` (what it answers from now on), `register` (an order, late).

`any_order` plays the deliveries in every order: then the steps in a row that deliver are shuffled among each other.
"""

import asyncio
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
from aiohttp import web

from tests.virtual_time import Clock
from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.topics import ASKS_TO_PAY
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import build
from tillkeeper.ingest.registration import registration_of
from tillkeeper.policy import load_policy
from tillkeeper.policy.spans import parse_span
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.settings import Settings, SweepSettings
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.orders.acts import ask_gateway
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import show
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.sweep import Sweep

TOKEN: Final = "0f6a1b9c27d84e53a1c6f0b2d9e47a85"  # of no meaning
NOW: Final = 1795176000  # 2026-11-20 12:00:00 UTC, shortly after what the files tell
ORDERS_MAX: Final = 6  # of the orders in which deliveries can come
LOOKS_MAX: Final = 200  # of the sweep while time passes

Told = Mapping[str, Any]


def sequences(folder: Path) -> Iterator[tuple[str, Told]]:
    """Every sequence of a folder, by its name, in each order in which it may come."""
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text())
        if not told.get("any_order"):
            yield path.stem, told
            continue
        orders = list(_orders(told["steps"]))
        for number in range(0, len(orders), -(-len(orders) // ORDERS_MAX)):
            yield f"{path.stem}-{number}", {**told, "steps": orders[number]}


def _orders(steps: Sequence[Any]) -> Iterator[list[Any]]:
    groups = [list(group) for _, group in itertools.groupby(steps, key=lambda step: "deliver" in step)]
    ways = [list(itertools.permutations(each)) if "deliver" in each[0] else [tuple(each)] for each in groups]
    for way in itertools.product(*ways):
        yield [step for group in way for step in group]


@dataclass
class Api:
    """What the gateways' APIs answer, by account and path; what they were asked."""

    answers: dict[str, dict[str, Any]]
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        account, _, path = request.path.removeprefix("/").partition("/")
        self.asked.append(f"{request.method} {request.path_qs}")
        known = self.answers.get(account, {})
        status, body = known.get(f"/{path}", (404, {"error": {"code": "resource_missing"}}))
        return web.json_response(body, status=status)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Api"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        [port] = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


@dataclass
class Stage:
    """A house without its processes: what they run, run here one after the other in a time that only we move."""

    pool: asyncpg.Pool
    clock: Clock
    policy: Policy
    gateways: Mapping[str, Gateway]
    sweep: Sweep
    fetching: FetchLoop
    api: Api

    async def take(self, step: Mapping[str, Any]) -> None:
        match step:
            case {"deliver": delivery}:
                await self._deliver(delivery)
                await self._look()
            case {"ask": order_ref}:
                await repeat_on_conflict(
                    self.pool,
                    lambda conn: ask_gateway(conn, order_ref, by="test", note="", now=self.clock.at),
                )
                await self._look()
            case {"register": order}:
                await register_order(self, order)
            case {"wait": span}:
                await self._pass(self.clock.at + parse_span(span))
            case {"api": answers}:
                for account, paths in answers.items():
                    self.api.answers.setdefault(account, {}).update(paths)
            case _:
                raise ValueError(step)

    async def _deliver(self, step: Mapping[str, Any]) -> None:
        gateway, now, body = self.gateways[step["account"]], self.clock.at, step["body"].encode()
        headers = {name.lower(): [value] for name, value in step.get("headers", {}).items()}
        if step["sign"] == "stripe":
            headers["stripe-signature"] = [stripe_signature(step["secret"], body, now)]
        verified = gateway.verify(Request(headers=headers, body=body, query=step.get("query", "")), now)
        delivery = Delivery(
            run=uuid4(),
            number=1,
            account=step["account"],
            received_at=now,
            key=verified.key,
            headers=(),
            body=body,
            events=gateway.parse(verified),
            fetches=fetches_of(gateway, verified),
        )
        await repeat_on_conflict(
            self.pool, lambda conn: apply_deliveries(conn, [delivery], policy=self.policy, now=self.clock.at)
        )

    async def _look(self) -> None:
        for _ in range(LOOKS_MAX):
            if not await self.fetching.run_once() + await self.sweep.run_once():
                return
        raise AssertionError("the sweep does not come to rest")

    async def _pass(self, until: datetime) -> None:
        """Time goes from one moment at which something is due to the next."""
        for _ in range(LOOKS_MAX):
            due = await self.pool.fetchval(NEXT_DUE)
            if due is None or due > until:
                break
            self.clock.at = max(self.clock.at, due)
            await self._look()
        self.clock.at = until

    async def outcome(self, order_ref: str, expected: Mapping[str, Any]) -> dict[str, Any]:
        """What became of an order, in the words in which the file expects it."""
        order = await show(self.pool, order_ref)
        assert order is not None
        told = {**order, "cases": sorted(case["kind"] for case in order["cases"] if case["closed_at"] is None)}
        if "not_asked_to_pay" in expected:
            told["not_asked_to_pay"] = not await self.pool.fetchval(ASKED_TO_PAY, order_ref, list(ASKS_TO_PAY))
        return {name: told.get(name) for name in expected}


NEXT_DUE: Final = "SELECT min(at) FROM (SELECT due_at AS at FROM due_orders UNION ALL SELECT due_at FROM fetches) it"
ASKED_TO_PAY: Final = """
SELECT count(*) FROM outbox JOIN orders o ON o.id = order_id
WHERE audience = 'payer' AND order_ref = $1 AND topic = ANY ($2::text[])
"""


def stripe_signature(secret: str, body: bytes, now: datetime) -> str:
    at = int(now.timestamp())
    return f"t={at},v1={hmac.new(secret.encode(), b'%d.%b' % (at, body), 'sha256').hexdigest()}"


@asynccontextmanager
async def staged(told: Told, pool: asyncpg.Pool, folder: Path) -> AsyncIterator[Stage]:
    """With the accounts built, the API listening and the orders registered."""
    clock = Clock(datetime.fromtimestamp(told.get("now", NOW), UTC))
    api = Api({account: dict(paths) for account, paths in told.get("api", {}).items()})
    async with api.listening(), open_http(ApiClientSettings()) as send:
        accounts = json.loads(json.dumps(told["accounts"]).replace("{API}", api.url))
        settings = Settings.model_validate(
            {"database_url": "postgresql://nobody@127.0.0.1/", "api_tokens": [TOKEN], "accounts": accounts}
        )
        gateways = {name: build(name, account) for name, account in settings.accounts.items()}
        policy = _policy(folder, told, accounts)
        api_client = ApiClient(gateways, ApiClientSettings(calls_per_s=0, attempts=1), send=send, now=clock)
        retry = DatabaseRetry(asyncio.Event())
        stage = Stage(
            pool=pool,
            clock=clock,
            policy=policy,
            gateways=gateways,
            api=api,
            sweep=Sweep(
                pool=pool,
                api_client=api_client,
                retry=retry,
                policy=lambda: policy,
                now=clock,
                settings=SweepSettings(),
            ),
            fetching=FetchLoop(
                pool=pool,
                api_client=api_client,
                retry=retry,
                policy=lambda: policy,
                now=clock,
                jitter=lambda *_: 1.0,
                ask_within_s=40.0,
            ),
        )
        for order in told["orders"]:
            await register_order(stage, order)
        yield stage


def _policy(folder: Path, told: Told, accounts: Mapping[str, object]) -> Policy:
    if "policy" not in told:
        return load_policy()
    path = folder / "policy.toml"
    path.write_text(told["policy"])
    return load_policy(path, set(accounts))


async def register_order(stage: Stage, order: Mapping[str, Any]) -> None:
    rest = {name: value for name, value in order.items() if name != "order_ref"}
    if str(rest.get("expires_at", "")).startswith("+"):
        rest["expires_at"] = (stage.clock.at + parse_span(rest["expires_at"][1:])).isoformat()
    registration = registration_of(order["order_ref"], json.dumps(rest).encode(), accounts=stage.gateways)
    await register(stage.pool, registration, policy=stage.policy, now=stage.clock.at)


async def played(told: Told, pool: asyncpg.Pool, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what became of the orders, what the file expects)."""
    expected = told["expect"]["orders"]
    async with staged(told, pool, folder) as stage:
        for step in told["steps"]:
            await stage.take(step)
            stage.clock.at += timedelta(seconds=1)
        return {ref: await stage.outcome(ref, wanted) for ref, wanted in expected.items()}, expected
