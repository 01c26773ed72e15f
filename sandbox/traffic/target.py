"""The target of the traffic: a Tillkeeper that the sandbox starts with servers of its own, or one that runs already."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
import msgspec

from tillkeeper import clock
from tillkeeper.loops import start
from tillkeeper.sandbox.accounts import asks_first, new_signers, signers_of, write_config
from tillkeeper.sandbox.apis.query_log import QueryLog
from tillkeeper.sandbox.apis.server import serving
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.servers import Postgres, RabbitMQ, ServerFailed
from tillkeeper.sandbox.servers.child import Child, free_ports
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.apis import api_handlers
from tillkeeper.sandbox.simulators.registry import ledger_of
from tillkeeper.sandbox.traffic.first_look import ACCOUNT, leave_first_look
from tillkeeper.sandbox.traffic.newcomers import FIRST, SECOND, link_of
from tillkeeper.settings import PREFIX, IngestSettings, Settings, load_settings
from tillkeeper.store.postgres.pool import open_pool

READY_WITHIN_S: Final = 60.0  # it takes two or three
STOP_WITHIN_S: Final = 75.0  # `tillkeeper run` gives each of its children up to 60 s; all is done in one or two
READY: Final = "/readyz"
LOOK_S: Final = 5.0  # for one look at whether it is ready
AUDIT_WITHIN_S: Final = 120.0
QUERIES_KEPT: Final = 10_000  # a play may go on for days
# What a real gateway would limit would only make a play wait: some are asked after every single delivery.
UNLIMITED: Final = "[api_client]\ncalls_per_s = 0"


class StoppedEarly(Exception):
    """Stopped before anything was played."""


class CannotRun(Exception):
    """There is nothing to play to, or with; says what would help."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A running Tillkeeper, and all that a gateway and a merchant know of it."""

    url: str
    metrics_url: str | None  # None: nowhere, or at a port that is not named
    desk_url: str
    token: str
    database_url: str
    signers: Mapping[str, Signer]
    directory: Path  # for files of ours while the run lasts
    config: Path | None  # the file that Tillkeeper runs with; None where the environment says which
    ledger: Ledger  # what the gateways know, for their APIs
    queries: QueryLog  # that were put to them
    own: Child | None = None  # Tillkeeper, if it is our own

    async def audit(self) -> tuple[int, str]:
        """Exit code and output of `tillkeeper audit`, the very program that ops run."""
        grace = ("--grace", "0s") if self.own is not None else ()  # in a house of our own all is quiet by now
        child = await Child.start(
            [*_tillkeeper("audit", self.config), "--all", "--json", *grace],
            directory=self.directory,
            log=self.directory / "audit.log",
            environment=environment_for(self.own),
        )
        return await child.exit_status(within_s=AUDIT_WITHIN_S), child.log.read_text(errors="replace")


@asynccontextmanager
async def own_target(
    *, gateways: Sequence[str], with_broker: bool, say: Callable[[str], None], stop: asyncio.Event
) -> AsyncIterator[Target]:
    """PostgreSQL, perhaps RabbitMQ, and `tillkeeper run` with an account at each of these gateways, all of our own;
    gone afterwards, whatever happens.

    Raises ServerFailed, or Stopped when `stop` is set before it stands.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="tillkeeper-sandbox-")))
        postgres, rabbitmq = Postgres(), RabbitMQ() if with_broker else None
        servers = (postgres,) if rabbitmq is None else (postgres, rabbitmq)
        for server in servers:
            stack.push_async_callback(server.close)
        say("starting PostgreSQL" if rabbitmq is None else "starting PostgreSQL and RabbitMQ")
        await _start_all(servers)
        _go_on(stop)
        database_url = await postgres.create_database("tillkeeper")
        broker_url = rabbitmq.url if rabbitmq else None
        target = await _written(stack, directory, gateways, database_url=database_url, broker_url=broker_url)
        say("starting tillkeeper run")
        child = await Child.start(
            _tillkeeper("run", target.config),
            directory=directory,
            log=directory / "tillkeeper.log",
            environment=own_environment(),
            death_signal=signal.SIGTERM,  # should we be killed, it still ends in good order
        )
        stack.push_async_callback(child.stop, signal.SIGTERM, within_s=STOP_WITHIN_S)
        await _until_ready(child, target.url, stop)
        await _until_ready(child, target.desk_url, stop, path="/sign-in")
        await _open_desk(target, say, stop)
        _go_on(stop)
        yield msgspec.structs.replace(target, own=child)


async def _open_desk(target: Target, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Has something to be seen to at the desk, and says how people come in."""
    if ACCOUNT in target.signers:
        gateway = load_settings(target.config).build_gateways()[ACCOUNT]
        async with await open_pool(target.database_url, max_size=1) as pool:
            await leave_first_look(
                pool,
                signer=target.signers[ACCOUNT],
                gateway=gateway,
                ledger=target.ledger,
                stop=stop,
            )
    link = await link_of(FIRST, target.database_url, target.desk_url)
    say(f"pages for people, signed in once by this address: {link}")
    link = await link_of(SECOND, target.database_url, target.desk_url)
    say(f"a second person, for what takes two: {link}")


@asynccontextmanager
async def running_target(settings: Settings, *, url: str | None, config: Path | None) -> AsyncIterator[Target]:
    """Yields a Tillkeeper that runs already, with the accounts of its configuration that can be played."""
    signers = signers_of(settings)
    if not signers:
        raise CannotRun(
            "the configuration has no Stripe account for tests: its api_key must say so (sk_test_, rk_test_), or it "
            "may be live; others cannot be played without --up"
        )
    if not settings.api_tokens:
        raise CannotRun("the configuration has no api_tokens, so that no order can be registered")
    url = url or f"http://{settings.ingest.host}:{settings.ingest.port}"
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=LOOK_S)) as session:
        if not await is_up(session):
            raise CannotRun(f"no receiver is ready at {url}; `tillkeeper run` starts one")
    with TemporaryDirectory(prefix="tillkeeper-sandbox-") as directory:
        yield Target(
            url=url,
            metrics_url=_metrics_url(settings.ingest),
            desk_url=f"http://{settings.desk.host}:{settings.desk.port}",
            token=settings.api_tokens[0],
            database_url=settings.database_url,
            signers=signers,
            directory=Path(directory),
            config=config,
            ledger=_ledger_of(signers),
            queries=QueryLog(keep=0),
        )


def _metrics_url(ingest: IngestSettings) -> str | None:
    """Returns where the receiver serves its metrics.  A port that is not named may be another receiver's."""
    if ingest.metrics_port == 0 or "metrics_port" not in ingest.model_fields_set:
        return None
    return f"http://{ingest.metrics_host}:{ingest.metrics_port}/metrics"


async def _written(
    stack: AsyncExitStack, directory: Path, gateways: Sequence[str], *, database_url: str, broker_url: str | None
) -> Target:
    """Returns the stage as it will be: the gateways can be asked, and the configuration file says where."""
    signers, queries = new_signers(gateways), QueryLog(keep=QUERIES_KEPT)
    ledger = _ledger_of(signers)
    bases = await stack.enter_async_context(serving(api_handlers(signers, ledger, now=clock.now, log=queries)))
    token, config = token_hex(16), directory / "tillkeeper.toml"
    port, metrics_port, desk_port = free_ports(3)
    write_config(
        config,
        signers,
        database_url=database_url,
        broker_url=broker_url,
        port=port,
        token=token,
        metrics_port=metrics_port,
        desk_port=desk_port,
        bases=bases,
        more=UNLIMITED if asks_first(signers) else "",
    )
    return Target(
        url=f"http://127.0.0.1:{port}",
        metrics_url=f"http://127.0.0.1:{metrics_port}/metrics",
        desk_url=f"http://127.0.0.1:{desk_port}",
        token=token,
        database_url=database_url,
        signers=signers,
        directory=directory,
        config=config,
        ledger=ledger,
        queries=queries,
    )


def _ledger_of(signers: Mapping[str, Signer]) -> Ledger:
    return ledger_of({account: signer.gateway for account, signer in signers.items()})


async def _start_all(servers: Sequence[Postgres | RabbitMQ]) -> None:
    """All at once, each to its end: a start that is cut short could leave something behind."""
    starting = [start(server.start(), name=type(server).__name__) for server in servers]
    try:
        await asyncio.wait(starting)
    finally:
        for task in starting:
            task.cancel()  # nothing to those that are done
        await asyncio.gather(*starting)


async def _until_ready(child: Child, url: str, stop: asyncio.Event, *, path: str = READY) -> None:
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=LOOK_S)) as session:

        async def is_ready() -> bool:
            _go_on(stop)
            return await is_up(session, path)

        try:
            await child.ready(is_ready, within_s=READY_WITHIN_S)
        except ServerFailed as error:
            raise ServerFailed(f"tillkeeper run {error}") from None


async def is_up(session: aiohttp.ClientSession, path: str = READY) -> bool:
    """Returns whether the path answers that all is well; a receiver's, that it can make deliveries durable."""
    try:
        async with session.get(path) as answer:
            return answer.status == 200  # noqa: PLR2004 - ready
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


def _go_on(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise StoppedEarly


def _tillkeeper(command: str, config: Path | None) -> list[str]:
    return [sys.executable, "-m", "tillkeeper", command, *(("--config", str(config)) if config else ())]


def own_environment() -> dict[str, str]:
    """Ours without Tillkeeper's variables: what is set for a real one must not lead our own to its database."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def environment_for(own: Child | None) -> dict[str, str]:
    """Returns what a command about this Tillkeeper must see."""
    return own_environment() if own is not None else dict(os.environ)
