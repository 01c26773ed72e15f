"""Says who people at the desk are: their names, their roles and how these rank, and which passwords are taken."""

import re
import unicodedata
from enum import StrEnum
from typing import Final, Literal

import msgspec

NAME_CHARS_MAX: Final = 64  # as the database limits it
DISPLAY_NAME_CHARS_MAX: Final = 100  # likewise
PASSWORD_CHARS_MIN: Final = 12
PASSWORD_CHARS_MAX: Final = 1024  # a longer one is work for the hash, and no password
# Who Tillkeeper itself acts as: no person may be taken for it.
RESERVED_NAMES: Final = frozenset({"system", "tillkeeper", "policy", "redelivery"})
_NAME: Final = re.compile(r"\w[\w.@+-]*")

LINK_PATH: Final = "/welcome"  # of the desk; behind it stands the token of a one-time link

Locale = Literal["en", "zh"]
Scope = Literal["health"]  # what a token may be for alone: whether accounts can be paid at, for a checkout


class Role(StrEnum):
    """What a person may do; each may what those before it may."""

    VIEWER = "viewer"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"

    def allows(self, needed: "Role") -> bool:
        """Returns whether whoever has this role may do what needs that one."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


def lesser(one: Role, other: Role) -> Role:
    """Returns the role of two that may less."""
    return other if one.allows(other) else one


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the desk."""

    id: int
    name: str
    role: Role
    locale: Locale
    display_name: str = ""


class BadName(ValueError):
    """No person can have this name."""


class BadPassword(ValueError):
    """Guessers would try it first; `code` names the reason for those who say it in another language."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def folded(name: str) -> str:
    """Returns the one spelling that stands for all spellings of a name."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def name_of(text: str) -> str:
    """Returns the name that a person would have.  Raises BadName."""
    name = folded(text)
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        raise BadName(
            f"a name has 1 to {NAME_CHARS_MAX} letters, digits and . @ + - _, beginning with a letter or digit"
        )
    if name in RESERVED_NAMES:
        raise BadName(f"{name} is the name that Tillkeeper itself acts under")
    return name


def prepared(password: str) -> str:
    """Returns the one spelling of a password that is hashed: keyboards differ in how they compose a letter."""
    return unicodedata.normalize("NFKC", password)


def refuse_bad_password(password: str, *, name: str) -> None:
    """Raises BadPassword where a guesser would try this one first."""
    password = prepared(password)
    if len(password) < PASSWORD_CHARS_MIN:
        raise BadPassword("short", f"a password has at least {PASSWORD_CHARS_MIN} characters")
    if len(password) > PASSWORD_CHARS_MAX:
        raise BadPassword("long", f"a password has at most {PASSWORD_CHARS_MAX} characters")
    if len(set(password)) == 1:
        raise BadPassword("one_character", "a password is more than one character repeated")
    if not password.casefold().replace(name, "").strip():
        raise BadPassword("name", "a password is not the name")
