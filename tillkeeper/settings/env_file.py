"""Reads the file that `env_file` names: variables that count as if they stood in the environment, which wins over them.

    # A comment.
    API_TOKEN=one-word
    ALIPAY_APP_PRIVATE_KEY="of several lines,
    or with spaces in it"

The same text is read by a shell, by systemd's EnvironmentFile= and by Docker's env_file.  Nothing in it is expanded.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tillkeeper.settings.errors import BadSettings

ENV_FILE_BYTES_MAX: Final = 256 * 1024  # keys of fifty accounts, and what is said of them
_ENTRY: Final = re.compile(
    r"""[ \t]*(?: \# [^\n]* | (?:export[ ]+)? ([A-Za-z_][A-Za-z0-9_]*) = (?: "([^"]*)" | '([^']*)' | ([^\s"']*) )
    )? [ \t]* \r? (?:\n|\Z)""",
    re.VERBOSE,
)


def read_env_file(path: Path) -> dict[str, str]:
    """Returns the variables that have a value.  Raises BadSettings, which names a line and never what stands in it."""
    try:
        with path.open("rb") as file:
            content = file.read(ENV_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadSettings([f"env_file: {path} cannot be read: {error.strerror}"]) from None
    if len(content) > ENV_FILE_BYTES_MAX:
        raise BadSettings([f"env_file: {path} is greater than {ENV_FILE_BYTES_MAX} bytes"])
    try:
        return {name: value for name, value in _entries(content.decode()) if value}
    except UnicodeDecodeError:
        raise BadSettings([f"env_file: {path} is not UTF-8 text"]) from None
    except _BadLine as bad:
        raise BadSettings(
            [f"env_file: {path}, line {bad}: must be NAME=value, in quotes where the value has spaces or quotes"]
        ) from None


class _BadLine(Exception):
    """A line is no entry; the text is its number."""


def _entries(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _ENTRY.match(text, at)
        if found is None:
            raise _BadLine(text.count("\n", 0, at) + 1)
        if found[1]:
            yield found[1], next((value for value in found.groups()[1:] if value is not None), "")
        at = found.end()


def with_env_file(named: object, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the environment over the variables of that file, if one is named.  Raises BadSettings."""
    return {**read_env_file(Path(named)), **environ} if isinstance(named, str) and named else environ
