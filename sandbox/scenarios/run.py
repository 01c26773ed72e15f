"""Runs a scenario: a database, the gateways' APIs and a Tillkeeper on a simulated clock."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from tillkeeper.domain.policy import Policy
from tillkeeper.policy.reading import load_policy
from tillkeeper.sandbox.accounts import new_signers, write_config
from tillkeeper.sandbox.apis.faults import FaultPeriod, Faults
from tillkeeper.sandbox.apis.query_log import QueryLog
from tillkeeper.sandbox.apis.server import serving
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.scenarios.simulated_clock import SimulatedClock
from tillkeeper.sandbox.scenarios.system import StartWorkers, System, opened
from tillkeeper.sandbox.scenarios.workers import start_workers
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.apis import api_handlers
from tillkeeper.sandbox.simulators.registry import ledger_of
from tillkeeper.sandbox.story import Story
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.sandbox.templates import Template
from tillkeeper.settings import load_settings

BEGINS_AT: Final = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)  # any day will do; always the same, for the seed's sake
DAY_S: Final = 24 * 3600

Say = Callable[[str], None]


class ScenarioOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller asked for."""

    seed: int
    payments: int
    start_workers: StartWorkers = start_workers
    smtp_port: int | None = None  # a mail server on loopback, for the payers' mails


class SimulatedGateways(msgspec.Struct, frozen=True, kw_only=True):
    """The gateways as they are, whoever looks."""

    signers: Mapping[str, Signer]
    ledger: Ledger
    log: QueryLog
    faults: Faults
    stories: Sequence[Story]

    @property
    def gateways(self) -> dict[str, str]:
        """The gateway of each account."""
        return {account: signer.gateway for account, signer in self.signers.items()}


def simulate_gateways(
    options: ScenarioOptions,
    templates: Mapping[str, Sequence[Template]],
    *,
    periods: Sequence[FaultPeriod] = (),
    within_s: int = DAY_S,
) -> SimulatedGateways:
    """Gateways with as many payments as are wished for, begun within the first `within_s` of the scenario."""
    signers = new_signers()
    accounts = {account: signer.gateway for account, signer in signers.items()}
    stories = [
        generate_story(
            options.seed,
            index,
            run=f"S{options.seed}",
            now=BEGINS_AT,
            accounts=accounts,
            templates=templates,
            started_ago_s=(-within_s, -1),
        )
        for index in range(options.payments)
    ]
    return SimulatedGateways(
        signers=signers,
        ledger=ledger_of(accounts, stories),
        log=QueryLog(),
        faults=Faults(periods, seed=options.seed),
        stories=stories,
    )


@asynccontextmanager
async def open_system(
    simulated: SimulatedGateways, postgres: Postgres, *, options: ScenarioOptions, policy: Policy | None = None
) -> AsyncIterator[System]:
    """Yields a Tillkeeper on a database of its own in this world, configured by a file as any other."""
    clock = SimulatedClock(BEGINS_AT)
    name = f"scenario_{secrets.token_hex(4)}"
    database_url = await postgres.create_database(name)
    apis = api_handlers(simulated.signers, simulated.ledger, now=clock.now, log=simulated.log, faults=simulated.faults)
    try:
        with TemporaryDirectory(prefix="tillkeeper-scenario-") as directory:
            async with serving(apis) as bases:
                config = Path(directory) / "tillkeeper.toml"
                write_config(
                    config,
                    simulated.signers,
                    database_url=database_url,
                    broker_url=None,
                    port=0,
                    token=secrets.token_hex(16),
                    bases=bases,
                    more=_mail(options.smtp_port),
                )
                settings = load_settings(config, {})
                policy = policy or load_policy()
                async with opened(settings, policy=policy, clock=clock, start_workers=options.start_workers) as system:
                    yield system
    finally:
        await postgres.drop_database(name)


def _mail(port: int | None) -> str:
    """Returns the settings of a mail server on loopback."""
    if port is None:
        return ""
    return (
        '[notify]\nfrom_address = "till@shop.example"\n'
        f'[notify.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
    )


class ProgressLine:
    """A line now and then, in simulated time."""

    def __init__(self, say: Say, what: str) -> None:
        self._say = say
        self._what = what
        self._next = BEGINS_AT

    def __call__(self, at: datetime) -> None:
        """Says how far it is, every six hours."""
        if at >= self._next:
            hours = int((at - BEGINS_AT).total_seconds() // 3600)
            self._say(f"{self._what}: {hours} h")
            self._next = at + timedelta(hours=6)
