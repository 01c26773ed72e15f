"""A policy out of a TOML file: every key that the file leaves out stands as in the default policy, and whatever is
wrong is told in a line that names the key, what was wrong, and what would be right.

    default ──┐
              ├─ merge, key by key ──> read spans ──> check each ladder ──> Policy
    the file ─┘                                      (also as it is at an account, and for a method there)

Read by hand rather than through a model: keys are statuses, accounts and methods, values are a small language of
their own, and most of what can be wrong is wrong between keys.
"""

import hashlib
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from tillkeeper.domain.policy import CasePolicy, Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.policy.ladders import ladders_of, read_accounts, read_by_status, read_closed
from tillkeeper.policy.sections import FOLLOW_UP_MIN, read_after_close, read_hints, read_levels, read_silence
from tillkeeper.policy.values import dotted, known_names, read_span, read_table

FILE_BYTES_MAX: Final = 256 * 1024  # the default policy, with all its explanations, is under 10 KB
_OTHERS: Final = ("cases", "unmatched", "closing", "closed", "silence", "hints", "accounts")
_TABLES: Final = (*(str(status) for status in Status), *_OTHERS)


class BadPolicy(Exception):
    """The policy cannot be used; one readable line per problem, naming the key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load_policy(path: Path | None = None, accounts: Collection[str] | None = None) -> Policy:
    """The policy in the file, or the default one; `accounts`, if given, are all that it may name.

    Raises BadPolicy.
    """
    return read_policy(_content(path) if path else b"", accounts)


def read_policy(content: bytes, accounts: Collection[str] | None = None) -> Policy:
    """The policy in the content of a file.  Raises BadPolicy."""
    default = tomllib.loads(default_path().read_text(encoding="utf-8"))
    problems = list[str]()
    policy = _policy(_merged(default, _parsed(content)), accounts, problems)
    if problems:
        raise BadPolicy(problems)
    return policy


def default_path() -> Path:
    """Where the default policy lies: in the package or, in a checkout, in deploy/."""
    packaged = Path(__file__).parents[1] / "policy.toml"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "deploy" / "policy.toml"


def digest_of(policy: Policy) -> str:
    """Names what the policy says, however its file is laid out."""
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
    except (RecursionError, ValueError):  # brackets a thousand deep; a number of 5,000 digits
        raise BadPolicy(["the policy is not TOML that can be read"]) from None


def _merged(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; what stands in both is as the file has it."""
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
    told = {name: value for name, value in tree.items() if name in set(Status)}
    general = read_by_status(told, (), {}, problems)
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
    )
