"""Looks at the settings, the secrets that they name, and the policy."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tillkeeper.cli.readiness.finding import ReadinessFinding, ok, to_do, wrong
from tillkeeper.policy import BadPolicy, load_policy
from tillkeeper.settings import CONFIG_VARIABLE, LoadedSettings, Settings

READ_BY_OTHERS: Final = stat.S_IROTH | stat.S_IRGRP


def configuration(look: LoadedSettings) -> Iterator[ReadinessFinding]:
    """Yields what file and environment say that cannot be used."""
    named = os.environ.get(CONFIG_VARIABLE, "the environment alone")
    for problem in look.wrong:
        yield wrong("configuration", problem, f"change it in {named}")
    if not look.wrong and look.settings is not None:
        accounts = ", ".join(sorted(look.settings.accounts)) or "none that can be used yet"
        yield ok("configuration", f"{named}; accounts: {accounts}")
    if look.settings is not None and not look.settings.accounts and not (look.missing or look.wrong):
        yield to_do("configuration", "there is no account", "add one: deploy/accounts.toml has every gateway's")


def shadow(settings: Settings) -> Iterator[ReadinessFinding]:
    """Yields that nobody is told anything, where the settings say so."""
    if settings.shadow:
        yield to_do(
            "shadow mode", "on: everything is decided, and nobody is told", "`shadow = false` once you rely on it"
        )


def secrets(look: LoadedSettings) -> Iterator[ReadinessFinding]:
    """Yields each secret that is missing or doubtful."""
    settings = look.settings
    env_file = settings.env_file if settings is not None else None
    place = f"fill it in in {env_file}" if env_file is not None else "set it, or change where the settings look for it"
    for problem in look.missing:
        yield to_do("secrets", problem, place)
    doubts = list(settings.doubts()) if settings is not None else []
    for doubt in doubts:
        yield to_do("secrets", doubt, "replace it; a process that starts logs the same line")
    if env_file is not None and _is_open(env_file):
        yield to_do("secrets", f"{env_file} can be read by others than its owner", f"chmod 600 {env_file}")
    elif settings is not None and not look.missing and not doubts:
        yield ok("secrets", "each is where the settings look for it, and none can be guessed")


def _is_open(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & READ_BY_OTHERS)


def policy(settings: Settings, look: LoadedSettings) -> ReadinessFinding:
    """Returns whether the policy can be used.  It may name accounts that cannot be used yet."""
    accounts = None if look.missing or look.wrong else settings.accounts
    named = str(settings.policy) if settings.policy else "the default one"
    try:
        load_policy(settings.policy, accounts)
    except BadPolicy as error:
        return wrong("policy", "; ".join(error.problems), f"change {named}; `tillkeeper policy check` says the same")
    return ok("policy", named)
