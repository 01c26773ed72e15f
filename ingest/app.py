"""Builds the receiver's application: opens its resources, and routes each path to its handler."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, cast
from uuid import uuid4

import msgspec
import structlog
from aiohttp import HttpVersion11, web

from tillkeeper import clock
from tillkeeper.accounts import Accounts, KnownAccounts
from tillkeeper.api_client.http import Send, open_http
from tillkeeper.api_client.key_fetching import KEY_SETTINGS, KeyFetcher, KeyRefreshers
from tillkeeper.api_client.key_store import KeyStore
from tillkeeper.counters_at_zero import start_receiver_counters
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.gateways.base import Gateway
from tillkeeper.ingest import openapi
from tillkeeper.ingest.answers_given import AnswersGiven
from tillkeeper.ingest.connections import Begin, BoundedConnection
from tillkeeper.ingest.health import HealthProbes
from tillkeeper.ingest.hints import Hints
from tillkeeper.ingest.orders import OrdersApi
from tillkeeper.ingest.receive import AccountReceiver, RawHeaders
from tillkeeper.ingest.refusals import Refusals
from tillkeeper.ingest.responses import Handler, PreparedResponse, method_refusal, refusal
from tillkeeper.ingest.scheduler import REQUEST_S
from tillkeeper.ingest.tracing import TracedReceiver
from tillkeeper.ingest.unsigned_limits import UnsignedLimit
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.lanes.tracing import TracedIntake
from tillkeeper.policy import PolicyFile
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import Settings
from tillkeeper.store.postgres.connections import Pool
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, UnsafeDatabase
from tillkeeper.tracing import spans

log = structlog.get_logger()

POOL_CONNECTIONS_MAX: Final = 6  # two envelopes on their way to the spool, and the orders API
POOL_CLOSE_S: Final = 5.0
COMMAND_S: Final = 7.0  # longer than a lock wait, shorter than the orders API's limit


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver holds while it runs: accounts, pool, lanes, and what examines refused deliveries."""

    accounts: KnownAccounts
    pool: Pool
    schema: SchemaWatch
    intake: Intake
    hints: Hints
    refusals: Refusals
    answers: AnswersGiven
    send: Send  # for keys that deliveries name
    policy: PolicyFile


# By path; accounts come and go while it runs.
RECEIVERS: Final = web.AppKey("RECEIVERS", dict[str, AccountReceiver | TracedReceiver])


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Opens all resources; at the end the lanes close only after every accepted delivery is finished.

    Raises SchemaUnfit, or one of DATABASE_ERRORS where there is no broker either.
    """
    async with AsyncExitStack() as stack:
        schema = SchemaWatch()
        pool = await _open_pool(settings)
        stack.push_async_callback(_close_pool, pool)
        await schema.look_once(pool)  # not known is not wrong: the broker alone takes deliveries, too
        schema.refuse_unfit()
        spool = SpoolSender(pool)
        broker: RabbitSender | None = None
        if settings.broker_url is not None:
            topology = Topology(prefix=settings.broker_prefix, shards=settings.broker_shards)
            broker = await RabbitSender.open(settings.broker_url, topology)
            stack.push_async_callback(broker.close)
        keys = EnvelopeKeys(settings.envelope_keys)
        intake = Intake(run=uuid4(), broker=broker, spool=spool, shards=settings.broker_shards, keys=keys)
        stack.push_async_callback(intake.close)
        accounts = Accounts(settings)
        policy = PolicyFile(settings.policy, accounts.gateways.keys())
        accounts.on_change(policy.read_again)
        hints = Hints(pool, policy=lambda: policy.policy, now=clock.now, monotonic_s=clock.monotonic_s)
        stack.push_async_callback(hints.close)
        refusals = Refusals(pool, records=accounts, monotonic_s=clock.monotonic_s)
        stack.push_async_callback(refusals.close)
        answers = AnswersGiven(pool, now=clock.now)
        answers.start()
        stack.push_async_callback(answers.close)
        yield Resources(
            accounts=accounts,
            pool=pool,
            schema=schema,
            intake=intake,
            hints=hints,
            refusals=refusals,
            answers=answers,
            send=await stack.enter_async_context(open_http(KEY_SETTINGS)),
            policy=policy,
        )


async def _open_pool(settings: Settings) -> Pool:
    """Opens the pool.  With a broker, a receiver starts and accepts even while the database is unavailable."""
    try:
        return await open_pool(settings.database_url, max_size=POOL_CONNECTIONS_MAX, command_timeout_s=COMMAND_S)
    except DATABASE_ERRORS as error:
        if settings.broker_url is None or isinstance(error, UnsafeDatabase):
            raise
        log.warning("database_unavailable_at_start", error=repr(error))
        return await open_pool(
            settings.database_url, max_size=POOL_CONNECTIONS_MAX, min_size=0, command_timeout_s=COMMAND_S
        )


async def _close_pool(pool: Pool) -> None:
    try:
        async with asyncio.timeout(POOL_CLOSE_S):
            await pool.close()
    except DATABASE_ERRORS:
        pool.terminate()


def build_app(settings: Settings, resources: Resources) -> web.Application:
    """Builds the routes.  Each account has a route of its own, so that it is found by one lookup."""
    body_bytes_max = settings.ingest.max_body_bytes
    orders = OrdersApi(
        resources.pool,
        tokens=settings.api_tokens,
        accounts=resources.accounts.gateways.keys(),
        policy=lambda: resources.policy.policy,
        body_bytes_max=body_bytes_max,
        shadow=settings.shadow,
    )
    webhooks = Webhooks(resources, settings)
    resources.accounts.on_change(webhooks.update_accounts)
    routes = {**orders.routes(), **HealthProbes(resources.intake, resources.schema).routes(), **openapi.routes()}
    app = web.Application(client_max_size=body_bytes_max)
    app[RECEIVERS] = webhooks.receivers
    app.on_cleanup.append(webhooks.close)
    for path, handlers in routes.items():
        for method, handler in handlers.items():
            _add(app, method, path, handler)
        _add(app, "*", path, _refuse_method(", ".join(handlers)))
    _add(app, "*", "/webhooks/{account}", webhooks.route)
    _add(app, "*", "/{anything:.*}", _not_found)
    return app


def bypass_router(server: web.Server, app: web.Application) -> None:
    """Passes a plain POST to an account's path straight to its receiver; every other request takes the router."""
    receivers, handler = app[RECEIVERS], server.request_handler

    async def routed(request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("BoundedConnection", request.protocol)
        await connection.wait_turn()
        connection.scheduler.record_time(REQUEST_S)
        return await handler(request)

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        receiver = receivers.get(request.raw_path) or receivers.get(request.raw_path.partition("?")[0])
        if receiver is None or request.method != "POST" or "Expect" in request.headers:
            return routed(request)
        return receiver.receive(cast("web.Request", request))

    server.request_handler = handle


def begin_of(app: web.Application) -> Begin:
    """Returns what begins a delivery that arrived whole, as its account's receiver does."""
    receivers = app[RECEIVERS]

    def begin(path: str, headers: RawHeaders, body: bytes, answer: Callable[[PreparedResponse], None]) -> bool:
        receiver, query = receivers.get(path), ""
        if receiver is None:
            path, _, query = path.partition("?")
            receiver = receivers.get(path)
        return receiver is not None and receiver.begin(headers, body, query, answer)

    return begin


class Webhooks:
    """Holds a receiver for each present account, by path."""

    def __init__(self, resources: Resources, settings: Settings) -> None:
        self._resources = resources
        self._settings = settings
        self._known: dict[str, tuple[Gateway, AccountReceiver]] = {}
        self._keys: dict[str, KeyFetcher] = {}
        self._unsigned_limits: dict[str, UnsignedLimit] = {}  # those of removed accounts stay: there are few
        self._refreshers = KeyRefreshers()
        self.receivers: dict[str, AccountReceiver | TracedReceiver] = {}
        self.update_accounts()

    def update_accounts(self) -> None:
        """Takes over changed accounts.  A receiver finishes its requests with the keys that it had."""
        now = self._resources.accounts.gateways
        start_receiver_counters(now)
        for name in self._known.keys() - now.keys():
            del self._known[name], self._keys[name], self.receivers[f"/webhooks/{name}"]
        for name, gateway in now.items():
            if name not in self._known or self._known[name][0] is not gateway:
                self._take(name, gateway)
        self._refreshers.update(self._keys)

    async def close(self, _app: web.Application) -> None:
        """Stops refreshing keys."""
        await self._refreshers.close()

    def _take(self, name: str, gateway: Gateway) -> None:
        resources = self._resources
        keys = KeyFetcher(gateway, resources.send, key_store=KeyStore(resources.pool))
        receiver = AccountReceiver(
            gateway,
            TracedIntake(resources.intake) if spans.is_on() else resources.intake,
            resources.hints,
            resources.refusals,
            keys,
            answers=resources.answers,
            unsigned_limit=self._unsigned_limits.setdefault(
                name, UnsignedLimit(calls_per_s=self._settings.api_client.calls_per_s)
            ),
            trusted_proxies=self._settings.ingest.trusted_proxies,
            body_bytes_max=resources.accounts.max_body_bytes(name) or self._settings.ingest.max_body_bytes,
        )
        self._known[name], self._keys[name] = (gateway, receiver), keys
        self.receivers[f"/webhooks/{name}"] = self._traced(receiver, name)

    def _traced(self, receiver: AccountReceiver, name: str) -> AccountReceiver | TracedReceiver:
        if not spans.is_on():
            return receiver
        return TracedReceiver(
            receiver, route=f"/webhooks/{name}", trusts_parents=self._settings.tracing.trust_webhook_parents
        )

    async def route(self, request: web.Request) -> web.StreamResponse:
        """Handles a request that came through the router, if its account exists."""
        known = self._known.get(request.match_info["account"])
        if known is None:
            return await _not_found(request)
        gateway, receiver = known
        if request.method == "POST":
            return await self.receivers[f"/webhooks/{gateway.account}"].receive(request)
        if request.method == "GET" and type(gateway).answer_challenge is not Gateway.answer_challenge:
            return await receiver.challenge(request)
        return method_refusal("POST")


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    app.router.add_route(method, path, handler, expect_handler=_continue)


async def _continue(request: web.Request) -> None:
    """Answers `Expect: 100-continue`; any other expectation is ignored, and not repeated in the response."""
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what follows is the response


def _refuse_method(allowed: str) -> Handler:
    async def refuse(_request: web.Request) -> web.Response:
        return method_refusal(allowed)

    return refuse


async def _not_found(request: web.Request) -> web.Response:
    is_webhook = request.path.startswith("/webhooks/")
    response = refusal(404, "no such account is configured" if is_webhook else "there is nothing here")
    response.force_close()
    return response
