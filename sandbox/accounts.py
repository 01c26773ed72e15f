"""Makes the sandbox's accounts with fresh keys, and writes configuration files for them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType

from tillkeeper.gateways.stripe.gateway import LIVE_BY_KEY_PREFIX
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting
from tillkeeper.sandbox.simulators.registry import DEFAULT_GATEWAYS, simulator_of
from tillkeeper.sandbox.simulators.stripe.signing import StripeSigner
from tillkeeper.settings import Settings


class AlreadyThere(Exception):
    """A file that would be written is there; its path is the text."""


def new_signers(gateways: Sequence[str] = DEFAULT_GATEWAYS) -> dict[str, Signer]:
    """Returns an account at each of these gateways, with fresh keys."""
    return {(account := account_of(gateway)): simulator_of(gateway).new_signer(account) for gateway in gateways}


def account_of(gateway: str) -> str:
    """Returns the name of the account that is played at a gateway."""
    return f"{gateway.replace('_', '-')}-main"


def impostors_of(signers: Mapping[str, Signer]) -> dict[str, Signer]:
    """Returns the same accounts with keys that nobody configured, but for those whose gateway signs nothing."""
    return {
        account: impostor(signer)
        for account, signer in signers.items()
        if (impostor := simulator_of(signer.gateway).impostor) is not None
    }


def asks_first(signers: Mapping[str, Signer]) -> bool:
    """Returns whether one of them says only that something happened, so that its gateway must be asked what."""
    return any(simulator_of(signer.gateway).fetched for signer in signers.values())


def signers_of(settings: Settings) -> dict[str, Signer]:
    """Returns the accounts of a configuration that a stranger to the gateway can play: Stripe's, which signs with a
    secret that both sides know, and of those the ones whose API key says that they are for tests.  One that tells no
    mode may be live."""
    return {
        name: StripeSigner(account=name, secret=account.webhook_secrets[0], api_key=account.api_key or "")
        for name, account in settings.accounts.items()
        if isinstance(account, StripeSettings) and LIVE_BY_KEY_PREFIX.get((account.api_key or "")[:8]) is False
    }


def write_config(
    path: Path,
    signers: Mapping[str, Signer],
    *,
    database_url: str,
    broker_url: str | None,
    port: int,
    token: str,
    metrics_port: int = 0,
    desk_port: int = 0,
    bases: Mapping[str, str] = MappingProxyType({}),
    more: str = "",
) -> None:
    """A configuration file for these accounts, beside it a file for each secret; for our eyes only.

    `bases` tells where the gateway of an account is asked, `more` are tables of settings besides.  With
    `metrics_port` 0 the receiver tells its figures nowhere, and the others never do: a play opens no port unasked, but
    for the desk's, which is any that is free where `desk_port` is 0.
    """
    lines = [
        f"database_url = {_secret(path, 'database_url', database_url)}",
        f"api_tokens = [{_secret(path, 'api_token', token)}]",
        f"envelope_keys = [{_secret(path, 'envelope_key', token_hex(32))}]",
    ]
    if broker_url is not None:
        lines.append(f"broker_url = {_secret(path, 'broker_url', broker_url)}")
    lines += ["[ingest]", f"port = {port}", f"metrics_port = {metrics_port}"]
    lines += ["[desk]", f"port = {desk_port}", "metrics_port = 0"]
    unnamed = [role for role in ("work", "sweep", "notify") if f"[{role}]" not in more]
    lines += [line for role in unnamed for line in (f"[{role}]", "metrics_port = 0")]
    _write(path, "\n".join([*lines, *_accounts(path, signers, bases), more]))


def write_accounts(path: Path, signers: Mapping[str, Signer]) -> None:
    """A configuration file of these accounts alone, beside it a file for each secret: enough for `inspect`."""
    _write(path, "\n".join(_accounts(path, signers, {})))


def secret_files(path: Path, signers: Mapping[str, Signer]) -> list[Path]:
    """Returns the files in which `write_accounts` keeps secrets."""
    return [
        path.with_name(file)
        for signer in signers.values()
        for name, value in simulator_of(signer.gateway).settings(signer).items()
        for file in _secret_names(f"{signer.account}.{name}", value)
    ]


def _secret_names(name: str, value: Setting) -> Iterator[str]:
    match value:
        case Secret():
            yield name
        case Mapping():
            yield from _secret_names(name, list(value.values()))
        case list() | tuple():
            for at, each in enumerate(value):
                yield from _secret_names(f"{name}.{at}", each)
        case _:
            return


def _accounts(path: Path, signers: Mapping[str, Signer], bases: Mapping[str, str]) -> Iterator[str]:
    for account, signer in signers.items():
        yield f"[accounts.{account}]"
        yield f'gateway = "{signer.gateway}"'
        yield from _settings(path, signer)
        if account in bases:
            yield f"api_base = {_toml(bases[account] + simulator_of(signer.gateway).api_path)}"


def _settings(path: Path, signer: Signer) -> list[str]:
    told = simulator_of(signer.gateway).settings(signer)
    return [f"{name} = {_written(path, f'{signer.account}.{name}', value)}" for name, value in told.items()]


def _written(path: Path, name: str, value: Setting) -> str:
    """Returns a setting as TOML has it.  Its secrets are kept in files whose names begin with `name`."""
    match value:
        case Secret():
            return _secret(path, name, value)
        case Mapping():
            values = [_written(path, f"{name}.{at}", each) for at, each in enumerate(value.values())]
            return f"{{ {', '.join(f'{_toml(key)} = {each}' for key, each in zip(value, values, strict=True))} }}"
        case list() | tuple():
            return f"[{', '.join(_written(path, f'{name}.{at}', each) for at, each in enumerate(value))}]"
        case bool() | str():
            return _toml(value)
        case _:
            raise AssertionError(f"{name} is nothing that TOML has")


def _toml(value: str | bool) -> str:
    """What JSON writes is TOML as well, but for the one control character that JSON leaves bare."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _secret(path: Path, name: str, secret: str) -> str:
    """Keeps a secret in a file of its own and returns how the configuration names it."""
    kept = path.with_name(name)
    _write(kept, secret)
    return f"'file:{kept}'"


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
