"""Reads the sources of settings into one tree: the file, the environment over it, and the secrets that both name."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tillkeeper.settings.env_file import with_env_file
from tillkeeper.settings.errors import BadSettings
from tillkeeper.settings.models import Settings
from tillkeeper.settings.old_names import RENAMED, by_new_names, contradictions, new_name

PREFIX: Final = "TILLKEEPER_"
CONFIG_VARIABLE: Final = "TILLKEEPER_CONFIG"
ENV_FILE_VARIABLE: Final = "TILLKEEPER_ENV_FILE"
SECRET_FILE_BYTES_MAX: Final = 64 * 1024  # a certificate chain is under 10 KB


def full_environ(path: Path | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the environment, with the variables of the env file where it has none of its own.  Raises BadSettings."""
    return with_env_file(env_file(path, environ), environ)


def env_file(path: Path | None, environ: Mapping[str, str]) -> str | None:
    """Returns the env file that the environment or the configuration names.  Raises BadSettings."""
    path = config_path(path, environ)
    named = environ.get(ENV_FILE_VARIABLE) or (_from_file(path).get("env_file") if path else None)
    return named if isinstance(named, str) else None


def settings_tree(path: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """Merges file and environment, as they are written."""
    path = config_path(path, environ)
    from_file = _from_file(path) if path else {}
    if problems := contradictions(from_file):
        raise BadSettings(problems)
    merged: dict[str, Any] = _merge(by_new_names(from_file), _from_environment(environ))
    return merged


def old_names(path: Path | None, environ: Mapping[str, str]) -> frozenset[str]:
    """Returns the sections that file or environment give under a former name."""
    path = config_path(path, environ)
    ours = (variable.removeprefix(PREFIX) for variable in environ if variable.startswith(PREFIX))
    in_environment = {variable.split("__")[0].lower() for variable in ours}
    return frozenset(RENAMED.keys() & (in_environment | (_from_file(path).keys() if path else set())))


def config_path(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Returns the configuration file: the given one, or the one that TILLKEEPER_CONFIG names."""
    return Path(environ[CONFIG_VARIABLE]) if path is None and environ.get(CONFIG_VARIABLE) else path


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
    """Reads the overrides as a tree.  Variables that name no setting are ignored: some hold secrets."""
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
    """Returns the path of a variable's setting, as ("accounts", "stripe-main", "api_key"), or () for another
    variable."""
    if not variable.startswith(PREFIX):
        return ()
    first, *rest = variable.removeprefix(PREFIX).split("__")
    section = new_name(first.lower())
    if section not in Settings.model_fields:
        return ()
    if section != "accounts":
        return (section, *(name.lower() for name in rest))
    account = tuple(name.lower().replace("_", "-") for name in rest[:1])
    key = tuple(name.lower() for name in rest[1:2])
    return ("accounts", *account, *key, *rest[2:])  # followed by a serial number or URL, whose case matters


def _value(text: str) -> Any:
    """Reads lists and tables as JSON; anything else stays text, which pydantic converts where needed."""
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


def resolve(value: Any, path: tuple[str, ...], environ: Mapping[str, str], problems: list[str]) -> Any:
    """Replaces every env:NAME and file:PATH in the tree, names of keys among them, by what it names."""
    if isinstance(value, dict):
        return {
            resolve(name, path, environ, problems): resolve(inner, (*path, str(name)), environ, problems)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [resolve(inner, (*path, str(at)), environ, problems) for at, inner in enumerate(value)]
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
