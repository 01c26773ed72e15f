"""The settings: a TOML file, overridden by the environment, with secrets fetched from where they are kept.

    file ──┐
           ├─ merge (environment wins) ──> resolve env:NAME and file:PATH ──> validate ──> Settings
    TILLKEEPER_* ┘

A key of the file is overridden by its path in capitals: `ingest.port` by TILLKEEPER_INGEST__PORT, `api_key` of the
account stripe-main by TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY.  Lists are written as JSON: '["one", "two"]'.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.gateways.account import BodyBytes
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.kit.secret_checks import is_a_word, is_guessable
from tillkeeper.gateways.registry import AccountSettings, build
from tillkeeper.notices.settings import NotifySettings

PREFIX: Final = "TILLKEEPER_"
RENAMED: Final = {"ask": "api_client"}  # sections by the name that they had
CONFIG_VARIABLE: Final = "TILLKEEPER_CONFIG"
TOKEN_CHARS_MIN: Final = 16  # 64 bits even if only hexadecimal digits were used
ENVELOPE_KEY_CHARS_MIN: Final = 32  # 128 bits even if only hexadecimal digits were used
ENVELOPE_KEYS_MAX: Final = 5  # each is tried for every message
TOKENS_MAX: Final = 20  # each is compared for every request of the orders API
SECRET_FILE_BYTES_MAX: Final = 64 * 1024  # a certificate chain is under 10 KB
PROCESSES_MAX: Final = 64
ACCOUNT_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,63}$"  # part of a URL; no underscore, for the environment needs that
PORT_MAX: Final = 65535
_HOST: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?")
_STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BadSettings(Exception):
    """The settings cannot be used; one readable line per problem, naming the key and never its value."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _check_url(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must begin with {schemes[0]}://")
        hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
        if not all((found := _HOST.fullmatch(host)) and int(found[1] or 0) <= PORT_MAX for host in hosts):
            raise ValueError(f"must name hosts and ports as in {schemes[0]}://user:password@host:1234/name")
        return url

    return AfterValidator(check)


def _check_token(token: str) -> str:
    if len(token) < TOKEN_CHARS_MIN or token != token.strip():
        raise ValueError(f"must have {TOKEN_CHARS_MIN} characters or more, without white space at its ends")
    # It is tried over the network alone, where lists of words are tried first; the rest of what is weak is told.
    if is_a_word(token):
        raise ValueError("can be guessed; make it at random, with: openssl rand -hex 32")
    return token


def _check_envelope_key(key: str) -> str:
    if len(key) < ENVELOPE_KEY_CHARS_MIN or key != key.strip():
        raise ValueError(
            f"must have {ENVELOPE_KEY_CHARS_MIN} characters or more, without white space at its ends; make one with: "
            "openssl rand -hex 32"
        )
    if is_guessable(key):
        raise ValueError("can be guessed; make it at random, with: openssl rand -hex 32")
    return key


Processes = Annotated[int, Field(ge=1, le=PROCESSES_MAX)]
Port = Annotated[int, Field(ge=0, le=PORT_MAX)]
Token = Annotated[str, AfterValidator(_check_token)]
EnvelopeKey = Annotated[str, AfterValidator(_check_envelope_key)]
AccountName = Annotated[str, Field(pattern=ACCOUNT_NAME)]
Accounts = dict[AccountName, AccountSettings]
_Model = TypeVar("_Model", bound=BaseModel)


class IngestSettings(BaseModel):
    """The receiver."""

    model_config = _STRICT

    host: str = "127.0.0.1"  # a reverse proxy stands before it; a container says 0.0.0.0
    port: Port = 8080
    max_body_bytes: BodyBytes = 256 * 1024  # the largest real delivery seen is 38 KiB; an account may take more
    # Whose X-Forwarded-For is believed: unsigned deliveries are limited by the address that sent them.
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], Field(max_length=100)] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    processes: Processes = 1
    metrics_host: str = "127.0.0.1"  # of its own: the figures are nobody's business who can post
    metrics_port: Port = 0  # 0: no metrics over HTTP


class WorkSettings(BaseModel):
    """The workers."""

    model_config = _STRICT

    batch_events: Annotated[int, Field(ge=1, le=5000)] = 400
    processes: Processes = 1
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0  # 0: no metrics over HTTP


class SweepSettings(BaseModel):
    """The sweep."""

    model_config = _STRICT

    orders_at_once: Annotated[int, Field(ge=1, le=1000)] = 100
    ask_within_s: Annotated[float, Field(ge=1, le=600)] = 40.0
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0  # 0: no metrics over HTTP


class Settings(BaseModel):
    """Everything a process is told from outside."""

    model_config = _STRICT

    database_url: Annotated[str, _check_url("postgresql", "postgres"), Field(repr=False)]
    broker_url: Annotated[str, _check_url("amqp", "amqps")] | None = Field(default=None, repr=False)  # None: no broker
    broker_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "tillkeeper"
    broker_shards: Annotated[int, Field(ge=1, le=64)] = 1
    # Between receivers and workers: the first signs, all verify.  Without any, whoever may publish is believed.
    envelope_keys: Annotated[tuple[EnvelopeKey, ...], Field(max_length=ENVELOPE_KEYS_MAX, repr=False)] = ()
    api_tokens: Annotated[tuple[Token, ...], Field(max_length=TOKENS_MAX, repr=False)] = ()  # none: nobody may ask
    policy: Path | None = None
    event_loop: Literal["uvloop", "asyncio"] = "uvloop"
    ingest: IngestSettings = IngestSettings()
    work: WorkSettings = WorkSettings()
    sweep: SweepSettings = SweepSettings()
    api_client: ApiClientSettings = ApiClientSettings()
    notify: NotifySettings = Field(default_factory=NotifySettings)
    accounts: Accounts = Field(default_factory=dict, repr=False)
    _old_names: tuple[str, ...] = PrivateAttr(())  # sections that were given by the name that they had

    def build_gateways(self) -> dict[str, Gateway]:
        """One gateway object for each account, with its keys read."""
        return build_gateways(self.accounts)

    def doubts(self) -> Iterator[str]:
        """What looks wrong and stops nobody from starting: one line each, naming the key and never its value."""
        for old in self._old_names:
            yield f"[{old}] is called [{RENAMED[old]}] now; the old name is still read"
        if self.broker_url is not None and not self.envelope_keys:
            yield (
                f"envelope_keys names no key: whoever may publish to {self.broker_prefix}.events is believed, and can "
                "pay orders; name one, the same for receivers and workers (openssl rand -hex 32)"
            )
        if self.broker_url is not None and "//guest:guest@" in self.broker_url:
            yield "broker_url logs in as guest with the password that everybody knows; make a user (deploy/rabbitmq.sh)"
        for at, token in enumerate(self.api_tokens):
            if is_guessable(token):
                yield f"api_tokens.{at} can be guessed; make it at random, with: openssl rand -hex 32"
        yield from doubts_of(self.accounts)

    def with_old_names(self, sections: Iterable[str]) -> Self:
        """Remembers which sections were given by the name that they had."""
        self._old_names = tuple(sorted(sections))
        return self

    def dump(self) -> bytes:
        """Everything, secrets too, for a child process's ears alone."""
        return self.model_dump_json().encode()

    @classmethod
    def restore(cls, dumped: bytes) -> Self:
        """The settings out of `dump`."""
        return cls.model_validate(json.loads(dumped))


class _Policy(BaseModel):
    """The policy's place alone."""

    model_config = _STRICT

    policy: Path | None = None


class _Accounts(BaseModel):
    """The accounts alone."""

    model_config = _STRICT

    accounts: Accounts


def build_gateways(accounts: Accounts) -> dict[str, Gateway]:
    """One gateway object for each account, with its keys read."""
    return {name: build(name, account) for name, account in accounts.items()}


def doubts_of(accounts: Accounts) -> Iterator[str]:
    """What looks wrong about the secrets of these accounts."""
    for name, account in accounts.items():
        for doubt in account.doubts():
            yield f"accounts.{name}.{doubt}"


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `path`, or from the file that TILLKEEPER_CONFIG names, and the environment.

    Raises BadSettings.
    """
    return _validated(Settings, _tree(path, environ), environ).with_old_names(_old_names(path, environ))


def _old_names(path: Path | None, environ: Mapping[str, str]) -> set[str]:
    """The sections that file or environment call by the name that they had."""
    path = _path(path, environ)
    in_file = set(_from_file(path)) if path else set()
    ours = (variable.removeprefix(PREFIX) for variable in environ if variable.startswith(PREFIX))
    in_environment = {variable.split("__")[0].lower() for variable in ours}
    return RENAMED.keys() & (in_file | in_environment)


def load_accounts(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Accounts:
    """The accounts alone, as they stand in file and environment now.  Raises BadSettings."""
    return _validated(_Accounts, {"accounts": _tree(path, environ).get("accounts", {})}, environ).accounts


def secret_files(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The configuration file, and every file that the accounts' settings name; nothing of what cannot be read now."""
    path = _path(path, environ)
    try:
        accounts = _tree(path, environ).get("accounts", {})
    except BadSettings:
        accounts = {}
    return ((path,) if path else ()) + tuple(Path(name) for name in _named_files(accounts))


def _named_files(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _named_files(inner)
    elif isinstance(value, str) and value.startswith("file:"):
        yield value.removeprefix("file:")


def load_policy_settings(
    path: Path | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Path | None, frozenset[str]]:
    """The policy's file and the accounts' names alone, for what needs no server and no secret.

    Raises BadSettings.
    """
    tree = _tree(path, environ)
    told = _validated(_Policy, {name: tree[name] for name in _Policy.model_fields if name in tree}, environ)
    accounts = tree.get("accounts")
    return told.policy, frozenset(accounts if isinstance(accounts, dict) else ())


def _tree(path: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """File and environment merged, as they were written."""
    path = _path(path, environ)
    merged: dict[str, Any] = _merge(_by_new_names(_from_file(path)) if path else {}, _from_environment(environ))
    return merged


def _by_new_names(tree: dict[str, Any]) -> dict[str, Any]:
    """The sections by the names that they have now."""
    for old, new in RENAMED.items():
        if old in tree and new in tree:
            raise BadSettings([f"[{old}] and [{new}] are one section: keep [{new}] alone"])
    return {RENAMED.get(name, name): value for name, value in tree.items()}


def _path(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    return Path(environ[CONFIG_VARIABLE]) if path is None and environ.get(CONFIG_VARIABLE) else path


def _validated(model: type[_Model], tree: dict[str, Any], environ: Mapping[str, str]) -> _Model:
    problems: list[str] = []
    resolved = _resolve(tree, (), environ, problems)
    if problems:
        raise BadSettings(problems)
    try:
        return model.model_validate(resolved)
    except ValidationError as error:
        raise BadSettings(_lines(error)) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings([f"the configuration file {path} cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise BadSettings([f"the configuration file {path} is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadSettings([f"the configuration file {path} is not TOML: {error}"]) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The overrides as a tree.  Variables that name no setting are somebody else's: secrets live there, too."""
    tree: dict[str, Any] = {}
    for variable, text in sorted(environ.items()):  # TILLKEEPER_INGEST before TILLKEEPER_INGEST__PORT
        path = _path_of(variable)
        if not path:
            continue
        branch = tree
        for name in path[:-1]:
            inner = branch.setdefault(name, {})
            if not isinstance(inner, dict):
                raise BadSettings([f"{variable} contradicts a variable that sets the whole of {name}"])
            branch = inner
        branch[path[-1]] = _value(text)
    return tree


def _path_of(variable: str) -> tuple[str, ...]:
    """("accounts", "stripe-main", "api_key") for its variable, nothing for a variable that names no setting."""
    if not variable.startswith(PREFIX):
        return ()
    first, *rest = variable.removeprefix(PREFIX).split("__")
    section = RENAMED.get(first.lower(), first.lower())
    if section not in Settings.model_fields:
        return ()
    if section != "accounts":
        return (section, *(name.lower() for name in rest))
    account = tuple(name.lower().replace("_", "-") for name in rest[:1])
    key = tuple(name.lower() for name in rest[1:2])
    return ("accounts", *account, *key, *rest[2:])  # what follows is a serial number or URL, whose case matters


def _value(text: str) -> Any:
    """Lists and tables are JSON; everything else is text, which pydantic reads as the number that it should be."""
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{name: _merge(below[name], inner) if name in below else inner for name, inner in above.items()}}


def _resolve(value: Any, path: tuple[str, ...], environ: Mapping[str, str], problems: list[str]) -> Any:
    """The tree with every env:NAME and file:PATH replaced by what it names."""
    if isinstance(value, dict):
        return {name: _resolve(inner, (*path, str(name)), environ, problems) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, (*path, str(at)), environ, problems) for at, inner in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        return _fetch(value, environ)
    except BadSettings as error:
        problems.extend(f"{'.'.join(path)}: {problem}" for problem in error.problems)
        return value


def _fetch(value: str, environ: Mapping[str, str]) -> str:
    scheme, _, name = value.partition(":")
    if scheme == "env":
        if not environ.get(name):
            raise BadSettings([f"the environment variable {name} is not set, or empty"])
        return environ[name]
    return _read_secret(Path(name)) if scheme == "file" else value


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_FILE_BYTES_MAX + 1)
        if len(content) > SECRET_FILE_BYTES_MAX:
            raise BadSettings([f"the file {path} is greater than {SECRET_FILE_BYTES_MAX} bytes"])
        text = content.decode()
    except OSError as error:
        raise BadSettings([f"the file {path} cannot be read: {error.strerror}"]) from None
    except (UnicodeDecodeError, ValueError):
        raise BadSettings([f"the file {path} is not UTF-8 text"]) from None
    return text.removesuffix("\n").removesuffix("\r")


_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a setting; is it misspelt?",
    "tuple_type": 'is a list (in the environment: JSON such as ["one"])',
    "list_type": 'is a list (in the environment: JSON such as ["one"])',
}


def _lines(error: ValidationError) -> Iterator[str]:
    problems = error.errors(include_url=False, include_input=False)
    for problem in problems:
        inner = any(it["loc"][:-1] == problem["loc"] for it in problems)
        if problem["type"] == "too_short" and inner:
            continue  # the list is short of what was refused in it
        yield f"{_key_of(problem)}: {_text_of(problem)}"


def _key_of(problem: ErrorDetails) -> str:
    names = [str(name) for name in problem["loc"]]
    if names[0] != "accounts":
        return ".".join(names)
    if names[-1] == "[key]":
        names.pop()
    return ".".join(names[:2] + names[3:])  # the third is the gateway, which pydantic puts in


def _text_of(problem: ErrorDetails) -> str:
    match problem["type"]:
        case "union_tag_invalid":
            return f"no such gateway; known are {problem['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return 'names no gateway: gateway = "stripe"'
        case "string_pattern_mismatch" if problem["loc"][-1] == "[key]":
            return "an account's name is 1 to 64 of a-z, 0-9 and -, and begins with a letter or digit"
        case known if known in _WORDS:
            return _WORDS[known]
        case _:
            return problem["msg"].removeprefix("Value error, ")
