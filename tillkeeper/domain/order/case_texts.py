"""Reads what cases are stored with, as people are shown it: whom a case is about, and the state that its reason is in.

Both are keys: they are compared with what is known later, and so they stay as they are written.
"""

import re
from typing import Final

import msgspec

NOW: Final = "now "  # before the state, where a case's history notes another one
_SUBJECT: Final = re.compile(r"(payment|refund|dispute|event|order|account|fetch|notice|pause|payout):(.+)", re.DOTALL)
_AT_ACCOUNT: Final = frozenset({"payment", "refund", "dispute", "event", "payout"})
_PHASE: Final = re.compile(r"/phase:[0-9]+\Z")
_STATE: Final = re.compile(r"([a-z_]+)((?: [0-9]{1,19} [A-Z]{3})*)")
_SUM: Final = re.compile(r"([0-9]+) ([A-Z]{3})")


class CaseSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What a case is about: a word of ours, the account where that says something, and a reference."""

    word: str
    account: str | None = None
    ref: str


class CaseState(msgspec.Struct, frozen=True, kw_only=True):
    """Where an object stands, in a word of ours, and the amounts that it moved: (minor units, currency)."""

    word: str
    sums: tuple[tuple[int, str], ...] = ()


def subject_in(text: str) -> CaseSubject | None:
    """Reads a subject; None for what is only a name."""
    found = _SUBJECT.fullmatch(text)
    if found is None:
        return None
    word, rest = found.groups()
    if word in _AT_ACCOUNT and "/" in rest:
        account, _, ref = rest.partition("/")
        return CaseSubject(word=word, account=account, ref=ref)
    return CaseSubject(word=word, ref=_PHASE.sub("", rest))


def subject_in_words(text: str) -> str:
    """Writes a subject for a terminal: payment P-1 at alipay-main."""
    found = subject_in(text)
    if found is None:
        return text
    return f"{found.word} {found.ref}" + ("" if found.account is None else f" at {found.account}")


def state_in(text: str) -> CaseState | None:
    """Reads a state; None for what is written in other words."""
    found = _STATE.fullmatch(text)
    if found is None:
        return None
    word, rest = found.groups()
    return CaseState(word=word, sums=tuple((int(minor), currency) for minor, currency in _SUM.findall(rest)))
