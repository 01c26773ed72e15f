"""Finds the words for texts that Tillkeeper wrote into rows in English: what a diagnosis found, why an account is
paused, why a query had no answer.  They stay in the rows as they are, for logs and programs read them, too.

Each pattern has a key of desk/words/log.toml; what it names is filled in there.  A text that fits none is of a library,
or of a gateway's verification: it is shown as it is, and marked as English.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

_HOW: Final = (
    "without white space at its end|with a line end behind it|with other line ends|without a byte order mark|in UTF-8|"
    "as compact JSON|as compact JSON in ASCII|as JSON with spaces|as JSON with spaces in ASCII|as JSON indented by two|"
    "as JSON indented by two in ASCII|as JSON indented by four"
)
_RULE: Final = (
    "failed|had money taken back|got events that do not fit them|got 50 times their amount or more, or a part as small"
)
_PAUSE: Final = (
    rf"within (?P<minutes>\d+) minutes (?P<orders>\d+) orders (?P<rule>{_RULE})(?:, of (?P<open>\d+) open ones)?, "
    r"and (?P<paid>\d+) were paid; the most in such a time was (?P<most>\d+) before"
)
_PATTERNS: Final = (
    ("signed_before", r"it was signed (?P<seconds>\d+) s before it was received"),
    ("signed_after", r"it was signed (?P<seconds>\d+) s after it was received"),
    ("time_off_too", "its time is off as well, and at that time it would not have been good either"),
    ("signed_for", r"it is signed for (?P<url>\S+), and (?P<setting>\S+) says (?P<own>\S+)"),
    ("signed_how", rf"it is signed (?P<how>{_HOW})"),
    ("old_key", r"it is signed with what was (?P<label>.+) before the settings changed"),
    ("other_account", r"it is right for the account (?P<account>\S+) \((?P<gateway>\S+)\)"),
    ("of_test_mode", "it says that it is of test mode, and the account is of live mode"),
    ("of_live_mode", "it says that it is of live mode, and the account is of test mode"),
    ("too_long", "looking further took too long"),
    ("held", "it came while its account was paused, and a person had what came then parked"),
    ("not_signed", "it is not signed, and a receiver of ours signs: see envelope_keys"),
    ("other_key", "it is signed with a key that is not among envelope_keys"),
    ("pause", _PAUSE),
    ("pause_over_go", "go: nothing is held any more"),
    ("pause_over_park", "park: nothing is held any more"),
    (
        "no_answer",
        r"(?P<why>unreachable|busy|denied|bad_answer|breaker_open|cannot_ask|account_paused)(?:: (?P<more>.+))?",
    ),
    (
        "database",
        r"(?P<error>DataError|NumericValueOutOfRangeError|\w+ViolationError): (?P<more>.+)",
    ),
)
_COMPILED: Final = tuple((key, re.compile(pattern, re.DOTALL)) for key, pattern in _PATTERNS)
KEYS: Final = frozenset(key for key, _ in _PATTERNS)
# What is filled in with a word of its own, by the blank.
WORDS_OF: Final[Mapping[str, str]] = {"how": "log_how", "rule": "log_rule", "why": "log_why"}


class LogText(msgspec.Struct, frozen=True, kw_only=True):
    """The key of the words, and what they name."""

    key: str
    named: Mapping[str, str]


def log_text_in(text: str) -> LogText | None:
    """Reads a text; None for one that Tillkeeper has no other words for."""
    for key, pattern in _COMPILED:
        found = pattern.fullmatch(text)
        if found is not None:
            return LogText(key=key, named={name: value or "" for name, value in found.groupdict().items()})
    return None


def word_key(text: str) -> str:
    """Returns the key of a word of ours: its letters, with _ between."""
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
