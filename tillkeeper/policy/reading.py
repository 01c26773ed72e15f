"""Reads a policy from a TOML file: keys that the file leaves out are as in the default policy, and each problem is a
line that names the key, what is wrong, and what would be right.

    default ──┐
              ├─ merge, key by key ──> read spans ──> check each ladder ──> Policy
    the file ─┘                                      (also as it is at an account, and for a method there)

It is read by hand rather than through a model: keys are statuses, accounts and methods, values are a small language of
their own, and most errors concern several keys.
"""

import hashlib
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from tillkeeper.domain.policy import CasePolicy, Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.policy.books import read_books
from tillkeeper.policy.ladders import ladders_of, read_accounts, read_by_status, read_closed
from tillkeeper.policy.sections import FOLLOW_UP_MIN, read_after_close, read_hints, read_levels, read_silence
from tillkeeper.policy.values import dotted, known_names, read_span, read_table

FILE_BYTES_MAX: Final = 256 * 1024  # the default policy, with all its explanations, is under 10 KB
_OTHERS: Final = ("cases", "unmatched", "closing", "closed", "silence", "hints", "books", "accounts")
_TABLES: Final = (*(str(status) for status in Status), *_OTHERS)


class BadPolicy(Exception):
    """The policy cannot be used; there is one readable line for each problem, which names the key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load_policy(path: Path | None = None, accounts: Collection[str] | None = None) -> Policy:
    """Loads the policy of a file, or the default one; `accounts`, if given, are all that it may name.

    Raises BadPolicy.
    """
    return read_policy(_content(path) if path else b"", accounts)


def read_policy(content: bytes, accounts: Collection[str] | None = None) -> Policy:
    """Reads the policy in the content of a file.  Raises BadPolicy."""
    default = tomllib.loads(default_path().read_text(encoding="utf-8"))
    problems = list[str]()
    policy = _policy(_merged(default, _parsed(content)), accounts, problems)
    if problems:
        raise BadPolicy(problems)
    return policy


def default_path() -> Path:
    """Returns the path of the default policy: in the package or, in a checkout, in deploy/."""
    packaged = Path(__file__).parents[1] / "policy.toml"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "deploy" / "policy.toml"


def digest_of(policy: Policy) -> str:
    """Returns a digest of the policy's content, whatever the layout of its file."""
    said = msgspec.json.encode(policy, enc_hook=dict, order="sorted")
    return hashlib.sha256(said).hexdigest()[:16]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadPolicy([f"the policy {path} cannot be read: {error.strerror}"]) from None
    except ValueError:
        raise BadPolicy([f"the policy {str(path)!r} cannot be read: that is no name of a file"]) from None
    if len(content) > FILE_BYTES_MAX:
        raise BadPolicy([f"the policy {path} is greater than {FILE_BYTES_MAX} bytes"])
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise BadPolicy(["the policy is not UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy([f"the policy is not TOML: {error}"]) from None
    except (RecursionError, ValueError):  # nesting a thousand levels deep; a number of 5,000 digits
        raise BadPolicy(["the policy is not TOML that can be read"]) from None


def _merged(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Merges tables key by key; the file's value wins."""
    both = {
        name: _merged(default[name], value)
        if isinstance(value, dict) and isinstance(default.get(name), dict)
        else value
        for name, value in own.items()
    }
    return {**default, **both}


def _policy(tree: dict[str, Any], accounts: Collection[str] | None, problems: list[str]) -> Policy:
    problems.extend(
        f"{dotted((name,))}: is neither a status nor another table; {known_names(name, _TABLES)}"
        for name in tree
        if name not in _TABLES
    )
    named = {name: value for name, value in tree.items() if name in set(Status)}
    general = read_by_status(named, (), {}, problems)
    cases = read_table(tree, ("cases",), ("follow_up", "levels"), problems)
    unmatched = read_table(tree, ("unmatched",), ("case",), problems)
    closing = read_table(tree, ("closing",), ("after",), problems)
    return Policy(
        ladders=ladders_of(general),
        accounts=read_accounts(tree["accounts"], general, accounts, problems) if "accounts" in tree else {},
        cases=CasePolicy(
            follow_up=read_span(cases.get("follow_up"), ("cases", "follow_up"), problems, least=FOLLOW_UP_MIN),
            levels=read_levels(cases.get("levels"), problems),
        ),
        unmatched_case=read_span(unmatched.get("case"), ("unmatched", "case"), problems),
        after_close=read_after_close(closing.get("after"), problems),
        closed=read_closed(tree, problems),
        silence=read_silence(tree, problems),
        hints=read_hints(tree, problems),
        books=read_books(tree, accounts, problems),
    )
