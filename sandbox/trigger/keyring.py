"""Keeps both sides' keys of the sandbox's accounts in a file, so that deliveries can be signed later.

DIR/accounts.toml    what the merchant's configuration says of the accounts; its secrets in files beside it
DIR/gateways.json    the gateways' own halves
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tillkeeper.sandbox.accounts import AlreadyThere, secret_files, write_accounts
from tillkeeper.sandbox.keys import private_pem
from tillkeeper.sandbox.signer import Signer

ACCOUNTS: Final = "accounts.toml"
KEYRING: Final = "gateways.json"


class NoKeyring(Exception):
    """The directory holds no keyring; the text says what would help."""


def write_keyring(directory: Path, signers: Mapping[str, Signer]) -> None:
    """Writes accounts and keyring.  Raises AlreadyThere before it writes anything, or OSError."""
    accounts, keyring = directory / ACCOUNTS, directory / KEYRING
    if there := [path for path in (accounts, keyring, *secret_files(accounts, signers)) if os.path.lexists(path)]:
        raise AlreadyThere(there[0])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_accounts(accounts, signers)
    keyring.touch(mode=0o600)
    entries = {account: {"gateway": signer.gateway, "signer": signer} for account, signer in signers.items()}
    keyring.write_bytes(msgspec.json.encode(entries, enc_hook=_written))


def read_keyring(directory: Path) -> dict[str, Signer]:
    """Returns the gateways' sides of the accounts.  Raises NoKeyring."""
    path = directory / KEYRING
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]])
        return {account: _signer(entry["gateway"], entry["signer"]) for account, entry in entries.items()}
    except OSError as error:
        raise NoKeyring(f"{path} cannot be read: {error.strerror}; `tillkeeper sandbox accounts` writes one") from None
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise NoKeyring(f"{path} is no keyring of the sandbox's: {error}") from None


def signer_class(gateway: str) -> type[Signer]:
    """Returns the class of a gateway's signers."""
    module = importlib.import_module(f"tillkeeper.sandbox.simulators.{gateway}.signing")
    found = [value for value in vars(module).values() if _is_signer(value, gateway)]
    return cast("type[Signer]", found[0])


def _is_signer(value: object, gateway: str) -> bool:
    return isinstance(value, type) and issubclass(value, msgspec.Struct) and getattr(value, "gateway", None) == gateway


def _signer(gateway: str, told: object) -> Signer:
    return msgspec.convert(told, signer_class(gateway), dec_hook=_read)


# msgspec's hooks for types that it does not know; they raise NotImplementedError for any other, as it asks them to.


def _written(value: object) -> str:
    if isinstance(value, RSAPrivateKey):
        return private_pem(value)
    raise NotImplementedError(type(value))


def _read(kind: type, told: object) -> object:
    if kind is RSAPrivateKey and isinstance(told, str):
        return load_pem_private_key(told.encode(), password=None)
    raise NotImplementedError(kind)
