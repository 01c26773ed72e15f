"""Loads settings: checks the tree of their sources against the models, with a line for each problem."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tillkeeper.settings.errors import BadSettings
from tillkeeper.settings.models import STRICT, Accounts, Settings
from tillkeeper.settings.sources import config_path, env_file, full_environ, old_names, resolve, settings_tree

_Model = TypeVar("_Model", bound=BaseModel)


class _Policy(BaseModel):
    """The path of the policy, without the other settings."""

    model_config = STRICT

    policy: Path | None = None


class _Accounts(BaseModel):
    """The accounts, without the other settings."""

    model_config = STRICT

    accounts: Accounts


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Loads the settings from `path`, or from the file that TILLKEEPER_CONFIG names, and the environment.

    Raises BadSettings.
    """
    environ = full_environ(path, environ)
    return _validated(Settings, settings_tree(path, environ), environ).with_old_names(old_names(path, environ))


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What file and environment say, as far as they can be used."""

    settings: Settings | None  # without the accounts that cannot be used; None where other settings cannot
    missing: tuple[str, ...] = ()  # a line for each secret that is not where the settings say
    wrong: tuple[str, ...] = ()  # a line for each other problem


def look_at_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> LoadedSettings:
    """Loads what can be used, and says what is wrong with the rest."""
    missing: list[str] = []
    try:
        environ = full_environ(path, environ)
        tree = resolve(settings_tree(path, environ), (), environ, missing)
        former = old_names(path, environ)
    except BadSettings as error:
        return LoadedSettings(settings=None, wrong=error.problems)
    wrong = [line for line in _problems(tree) if not _follows(line, missing)]
    unusable = {line.split(".")[1].split(":")[0] for line in (*missing, *wrong) if line.startswith("accounts.")}
    rest = tree
    if isinstance(accounts := tree.get("accounts"), dict):
        rest = {**tree, "accounts": {name: account for name, account in accounts.items() if name not in unusable}}
    settings = None if _problems(rest) else Settings.model_validate(rest).with_old_names(former)
    return LoadedSettings(settings=settings, missing=tuple(missing), wrong=tuple(wrong))


def _problems(tree: dict[str, Any]) -> list[str]:
    try:
        Settings.model_validate(tree)
    except ValidationError as error:
        return list(_lines(error))
    return []


def _follows(line: str, missing: list[str]) -> bool:
    """Returns whether a problem is only that a secret is missing."""
    key = line.split(": ", maxsplit=1)[0]
    return any(other.startswith((f"{key}:", f"{key}.")) for other in missing)


def load_accounts(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Accounts:
    """Loads the accounts alone, as file and environment have them now.  Raises BadSettings."""
    environ = full_environ(path, environ)
    return _validated(_Accounts, {"accounts": settings_tree(path, environ).get("accounts", {})}, environ).accounts


def secret_files(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Returns the configuration file, its env file, and every readable file that the accounts' settings name."""
    path = config_path(path, environ)
    named: str | None = None
    try:
        named = env_file(path, environ)
        accounts = settings_tree(path, full_environ(path, environ)).get("accounts", {})
    except BadSettings:
        accounts = {}
    files = (str(path) if path else None, named, *_named_files(accounts))
    return tuple(Path(name) for name in files if name)


def _named_files(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _named_files(inner)
    elif isinstance(value, str) and value.startswith("file:"):
        yield value.removeprefix("file:")


def load_policy_settings(
    path: Path | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Path | None, frozenset[str]]:
    """Loads the policy's path and the accounts' names alone, for commands that need no server and no secret.

    Raises BadSettings.
    """
    tree = settings_tree(path, environ)
    settings = _validated(_Policy, {name: tree[name] for name in _Policy.model_fields if name in tree}, environ)
    accounts = tree.get("accounts")
    return settings.policy, frozenset(accounts if isinstance(accounts, dict) else ())


def _validated(model: type[_Model], tree: dict[str, Any], environ: Mapping[str, str]) -> _Model:
    problems: list[str] = []
    resolved = resolve(tree, (), environ, problems)
    if problems:
        raise BadSettings(problems)
    try:
        return model.model_validate(resolved)
    except ValidationError as error:
        raise BadSettings(_lines(error)) from None


_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a setting; is it misspelt?",
    "tuple_type": 'is a list (in the environment: JSON such as ["one"])',
    "list_type": 'is a list (in the environment: JSON such as ["one"])',
}


def _lines(error: ValidationError) -> Iterator[str]:
    problems = error.errors(include_url=False, include_input=False)
    for problem in problems:
        inner = any(other["loc"][:-1] == problem["loc"] for other in problems)
        if problem["type"] == "too_short" and inner:
            continue  # the refused entries are missing from the list
        yield f"{_key_of(problem)}: {_text_of(problem)}"


def _key_of(problem: ErrorDetails) -> str:
    names = [str(name) for name in problem["loc"]]
    if names[0] != "accounts":
        return ".".join(names)
    if names[-1] == "[key]":
        names.pop()
    return ".".join(names[:2] + names[3:])  # the third is the gateway, which pydantic adds


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
