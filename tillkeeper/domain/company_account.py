"""Decides who somebody is at the desk, and what they may, by what the provider of their company's accounts says.

A person is known by the provider's own number of them, the subject, and never by an address or a name: those are given
to others in time.  What they may follows from the values of one claim, at each sign-in anew.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tillkeeper.domain.people import DISPLAY_NAME_CHARS_MAX, BadName, Role, name_of

SUBJECT_CHARS_MAX: Final = 255  # as OpenID Connect limits it
EMAIL: Final = "email"
# AWS Cognito's userinfo says it as a text.
VERIFIED: Final = (True, "true")


class RoleRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider names somebody, and which values of which claim give which role."""

    name_claim: str
    role_claim: tuple[str, ...]  # the claim, and the way into it where it is an object
    values: Mapping[Role, frozenset[str]]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom the provider knows.  `role` is None where none of the values gives one."""

    issuer: str
    subject: str
    name: str
    display_name: str
    role: Role | None


class NoMember(Exception):
    """What the provider says does not make a person; `code` names the reason for those who say it in another
    language."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def is_complete(claims: Mapping[str, Any], rules: RoleRules) -> bool:
    """Returns whether a token says all that is asked for, so that the provider need not be asked for more."""
    wanted = {rules.name_claim, rules.role_claim[0]} | ({"email_verified"} if rules.name_claim == EMAIL else set())
    return wanted <= claims.keys()


def member_in(claims: Mapping[str, Any], rules: RoleRules, *, issuer: str) -> Member:
    """Returns whom the claims name, which are verified.  Raises NoMember."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.isprintable() or not 1 <= len(subject) <= SUBJECT_CHARS_MAX:
        raise NoMember("no_subject", f"sub is no printable text of 1 to {SUBJECT_CHARS_MAX} characters")
    name = _name(claims, rules)
    said = claims.get("name")
    shown = " ".join(said.split()) if isinstance(said, str) else ""
    return Member(
        issuer=issuer,
        subject=subject,
        name=name,
        display_name=shown[:DISPLAY_NAME_CHARS_MAX].strip() if shown and shown.isprintable() else name,
        role=role_given(claims, rules),
    )


def role_given(claims: Mapping[str, Any], rules: RoleRules) -> Role | None:
    """Returns the highest role that one of the claim's values gives; None where none does."""
    values: Any = claims
    for name in rules.role_claim:
        values = values.get(name) if isinstance(values, Mapping) else None
    listed = values if isinstance(values, list) else [values]
    texts = frozenset(value for value in listed if isinstance(value, str))
    return next((role for role in reversed(Role) if texts & rules.values.get(role, frozenset())), None)


def _name(claims: Mapping[str, Any], rules: RoleRules) -> str:
    said = claims.get(rules.name_claim)
    if not isinstance(said, str):
        raise NoMember("no_name", f"there is no claim {rules.name_claim}, by which people are named")
    # An address that nobody verified may be whoever's its owner typed.
    if rules.name_claim == EMAIL and claims.get("email_verified") not in VERIFIED:
        raise NoMember("unverified", "email_verified is not true")
    try:
        return name_of(said)
    except BadName as error:
        raise NoMember("no_name", f"{rules.name_claim} is no name: {error}") from None
