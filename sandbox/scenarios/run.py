"""One run of a scenario: a database, the gateways' APIs, a house on a simulated clock, and what came of it."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from sandbox.accounts import new_voices, write_config
from sandbox.apis.all import answering
from sandbox.apis.faults import Faults
from sandbox.apis.faults import Spell as FaultSpell
from sandbox.apis.queries import QuestionLog
from sandbox.apis.server import serving
from sandbox.scenarios.house import Hire, House, opened
from sandbox.scenarios.simulated import SimulatedClock
from sandbox.servers import Postgres
from sandbox.story import Story, tell
from sandbox.templates import Template
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.policy import Policy
from tillkeeper.policy.reading import load_policy
from tillkeeper.settings import load_settings

BEGINS_AT: Final = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)  # any day will do; always the same, for the seed's sake
DAY_S: Final = 24 * 3600

Say = Callable[[str], None]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller asked for."""

    seed: int
    payments: int
    hire: Hire
    smtp_port: int | None = None  # a mail server on loopback, for the payers' mails


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The gateways as they are, whoever looks."""

    voices: Mapping[str, Voice]
    ledger: Ledger
    log: QuestionLog
    faults: Faults
    stories: Sequence[Story]

    @property
    def gateways(self) -> dict[str, str]:
        """The gateway of each account."""
        return {account: voice.gateway for account, voice in self.voices.items()}


def world(
    wish: Wish,
    templates: Mapping[str, Sequence[Template]],
    *,
    spells: Sequence[FaultSpell] = (),
    within_s: int = DAY_S,
) -> World:
    """Gateways with as many payments as are wished for, begun within the first `within_s` of the scenario."""
    voices = new_voices()
    accounts = {account: voice.gateway for account, voice in voices.items()}
    stories = [
        tell(
            wish.seed,
            index,
            run=f"S{wish.seed}",
            now=BEGINS_AT,
            accounts=accounts,
            templates=templates,
            started_ago_s=(-within_s, -1),
        )
        for index in range(wish.payments)
    ]
    return World(
        voices=voices,
        ledger=Ledger(accounts, stories),
        log=QuestionLog(),
        faults=Faults(spells, seed=wish.seed),
        stories=stories,
    )


@asynccontextmanager
async def house_in(
    around: World, postgres: Postgres, *, wish: Wish, policy: Policy | None = None
) -> AsyncIterator[House]:
    """A Tillkeeper on a database of its own in this world, configured by a file as any other."""
    clock = SimulatedClock(BEGINS_AT)
    name = f"scenario_{secrets.token_hex(4)}"
    database_url = await postgres.create_database(name)
    apis = answering(around.voices, around.ledger, now=clock.now, log=around.log, faults=around.faults)
    try:
        with TemporaryDirectory(prefix="tillkeeper-scenario-") as directory:
            async with serving(apis) as bases:
                config = Path(directory) / "tillkeeper.toml"
                write_config(
                    config,
                    around.voices,
                    database_url=database_url,
                    broker_url=None,
                    port=0,
                    token=secrets.token_hex(16),
                    bases=bases,
                    more=_mail(wish.smtp_port),
                )
                settings = load_settings(config, {})
                told = load_policy() if policy is None else policy
                async with opened(settings, policy=told, clock=clock, hire=wish.hire) as house:
                    yield house
    finally:
        await postgres.drop_database(name)


def _mail(port: int | None) -> str:
    """The settings of a mail server on loopback."""
    if port is None:
        return ""
    return (
        '[notify]\nfrom_address = "till@shop.example"\n'
        f'[notify.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
    )


class Progress:
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
