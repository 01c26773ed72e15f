"""Defines the settings of each process, and of all together."""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, PrivateAttr, model_validator

from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.domain.retention import FOR_EVER, DataKind, Days
from tillkeeper.gateways.account import BodyBytes
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.kit.secret_checks import is_guessable
from tillkeeper.gateways.mapped_statement import StatementMapping
from tillkeeper.gateways.registry import AccountSettings, build
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.oidc.settings import OidcSettings, is_private_address
from tillkeeper.settings.fields import AccountName, ChainKey, EnvelopeKey, KeptDays, Port, Processes, Token, url_of
from tillkeeper.settings.guard import GuardSettings
from tillkeeper.settings.old_names import RENAMED
from tillkeeper.tracing.settings import TracingSettings

ENVELOPE_KEYS_MAX: Final = 5  # each is tried for every message
TOKENS_MAX: Final = 20  # each request of the orders API is compared with all
STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
Accounts = dict[AccountName, AccountSettings]


class IngestSettings(BaseModel):
    """The settings of the receiver."""

    model_config = STRICT

    host: str = "127.0.0.1"  # behind a reverse proxy; 0.0.0.0 in a container
    port: Port = 8080
    public_url: Annotated[str, url_of("https", "http")] | None = None  # nothing but `tillkeeper check` needs to know it
    max_body_bytes: BodyBytes = 256 * 1024  # the largest real delivery seen is 38 KiB; an account may take more
    # Their X-Forwarded-For is trusted: unsigned deliveries are limited by the address that sent them.
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], Field(max_length=100)] = LOOPBACK
    processes: Processes = 1
    metrics_host: str = "127.0.0.1"  # not `host`: whoever can post webhooks must not read the metrics
    metrics_port: Port = 9470  # 0: no metrics over HTTP; unless it is named, the first free one of ten from there


class WorkSettings(BaseModel):
    """The settings of the workers."""

    model_config = STRICT

    batch_events: Annotated[int, Field(ge=1, le=5000)] = 400
    processes: Processes = 1
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9480


class SweepSettings(BaseModel):
    """The settings of the sweep."""

    model_config = STRICT

    orders_at_once: Annotated[int, Field(ge=1, le=1000)] = 100
    ask_within_s: Annotated[float, Field(ge=1, le=600)] = 40.0
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9490


class DeskSettings(BaseModel):
    """The settings of the desk."""

    model_config = STRICT

    host: str = "127.0.0.1"  # behind a reverse proxy that speaks https
    port: Port = 8090
    public_url: Annotated[str, url_of("https", "http")] | None = None  # where browsers find it: one-time links begin so
    # Their X-Forwarded-Proto is believed: whether the browser came by https, and cookies are for https alone.
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], Field(max_length=100)] = LOOPBACK
    metrics_host: str = "127.0.0.1"  # not `host`: who may look at orders need not read the metrics
    metrics_port: Port = 9510
    oidc: OidcSettings | None = None  # signing in with a company's account

    @model_validator(mode="after")
    def _comes_back(self) -> Self:
        if self.oidc is not None and (self.public_url is None or not is_private_address(self.public_url)):
            raise ValueError(
                "with desk.oidc, public_url must be the desk's https:// address, to which people come back"
            )
        return self

    @property
    def takes_passwords(self) -> bool:
        """Returns whether people may sign in with passwords."""
        return self.oidc is None or self.oidc.passwords

    @property
    def is_private(self) -> bool:
        """Returns whether nobody on the way reads what browsers send: they are on this machine, or come by https."""
        return self.host in LOCAL_HOSTS or (self.public_url or "").startswith("https://")


class RetentionSettings(BaseModel):
    """The settings of retention: how many days each kind of data is kept; 0, or "never", removes nothing of it."""

    model_config = STRICT

    bodies_days: KeptDays = 400  # what a year's audit and nearly every dispute asks for
    unsigned_days: KeptDays = 30  # their queries ended within three days, and they prove nothing in a dispute
    refused_days: KeptDays = 30  # nobody looks later
    parked_days: KeptDays = 400
    outbox_days: KeptDays = 90
    fetches_days: KeptDays = 90
    statements_days: KeptDays = FOR_EVER  # books are kept for years, as long as the law has it
    access_days: KeptDays = 30  # they open nothing any more; what was done with them stands in access_log

    def days(self) -> Days:
        """Returns them as the domain has them."""
        return Days(**{kind: getattr(self, f"{kind}_days") for kind in DataKind})


class BooksSettings(BaseModel):
    """The settings of the books."""

    model_config = STRICT

    chain_key: ChainKey | None = Field(default=None, repr=False)  # signs the chain of hashes; None: it is not signed
    statements: Mapping[str, StatementMapping] = Field(default_factory=dict)  # by account: how its tables are read


class BankSettings(BaseModel):
    """`[banks.NAME]`: a bank account into which gateways pay out."""

    model_config = STRICT

    iban: str | None = None  # or the number that its statements have; None: statements of any account are taken
    payouts: Annotated[
        Mapping[AccountName, Annotated[str, Field(min_length=3)]], Field(min_length=1)
    ]  # words by account
    within_days: Annotated[int, Field(ge=0, le=30)] = 3  # working days from a payout to its arrival
    table: StatementMapping | None = None  # how tables of it are read; None: camt.053 and MT940 alone


class Settings(BaseModel):
    """The settings of all processes."""

    model_config = STRICT

    env_file: Path | None = None  # variables beside the environment's: sources.py reads it
    database_url: Annotated[str, url_of("postgresql", "postgres"), Field(repr=False)]
    broker_url: Annotated[str, url_of("amqp", "amqps")] | None = Field(default=None, repr=False)  # None: no broker
    broker_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "tillkeeper"
    broker_shards: Annotated[int, Field(ge=1, le=64)] = 1
    # Between receivers and workers: the first key signs, all verify.  Without keys, anybody who may publish is trusted.
    envelope_keys: Annotated[tuple[EnvelopeKey, ...], Field(max_length=ENVELOPE_KEYS_MAX, repr=False)] = ()
    api_tokens: Annotated[tuple[Token, ...], Field(max_length=TOKENS_MAX, repr=False)] = ()  # none: nobody may
    policy: Path | None = None
    shadow: bool = False  # decide and tell nobody: docs/trying-it.md
    event_loop: Literal["uvloop", "asyncio"] = "uvloop"
    ingest: IngestSettings = IngestSettings()
    work: WorkSettings = WorkSettings()
    sweep: SweepSettings = SweepSettings()
    desk: DeskSettings = DeskSettings()
    api_client: ApiClientSettings = ApiClientSettings()
    notify: NotifySettings = Field(default_factory=NotifySettings)
    retention: RetentionSettings = RetentionSettings()
    guard: GuardSettings = GuardSettings()
    books: BooksSettings = BooksSettings()
    banks: Mapping[AccountName, BankSettings] = Field(default_factory=dict)
    tracing: TracingSettings = TracingSettings()
    accounts: Accounts = Field(default_factory=dict, repr=False)
    _old_names: frozenset[str] = PrivateAttr(frozenset())

    def build_gateways(self) -> dict[str, Gateway]:
        """Builds a gateway object for each account, with its keys read."""
        return build_gateways(self.accounts)

    def doubts(self) -> Iterator[str]:
        """Yields lines about what looks wrong but keeps no process from starting; each names the key and never its
        value."""
        for old in sorted(self._old_names):
            yield f"[{old}] is called [{RENAMED[old]}] now; the old name is still read"
        if self.broker_url is not None and not self.envelope_keys:
            yield (
                f"envelope_keys names no key: whoever may publish to {self.broker_prefix}.events is believed, and can "
                "pay orders; name one, the same for receivers and workers (openssl rand -hex 32)"
            )
        if self.broker_url is not None and "//guest:guest@" in self.broker_url:
            yield "broker_url logs in as guest with the password that everybody knows; make a user (deploy/rabbitmq.sh)"
        if not self.desk.is_private:
            yield (
                f"desk.host is {self.desk.host}, and desk.public_url names no https:// address: passwords and sessions "
                "would cross the network for all to read; put a proxy before the desk that speaks https, and name it"
            )
        for at, token in enumerate(self.api_tokens):
            if is_guessable(token):
                yield f"api_tokens.{at} can be guessed; make it at random, with: openssl rand -hex 32"
        yield from doubts_of(self.accounts)

    def with_old_names(self, sections: frozenset[str]) -> Self:
        """Remembers which sections were given under an old name."""
        self._old_names = sections
        return self

    def dump(self) -> bytes:
        """Returns all settings with their secrets, for the standard input of a child process."""
        return self.model_dump_json().encode()

    @classmethod
    def restore(cls, dumped: bytes) -> Self:
        """Reads the settings that `dump` wrote."""
        return cls.model_validate(json.loads(dumped))


def build_gateways(accounts: Accounts) -> dict[str, Gateway]:
    """Builds a gateway object for each account, with its keys read."""
    return {name: build(name, account) for name, account in accounts.items()}


def doubts_of(accounts: Accounts) -> Iterator[str]:
    """Yields lines about what looks wrong with the secrets of these accounts."""
    for name, account in accounts.items():
        for doubt in account.doubts():
            yield f"accounts.{name}.{doubt}"
