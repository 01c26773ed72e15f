"""Reads the tables of a policy's file beside its ladders: cases, closing, silence, hints."""

from datetime import timedelta
from typing import Any, Final, Literal, cast, get_args

from tillkeeper.domain.policy import HintPolicy, SilencePolicy
from tillkeeper.policy.spans import short
from tillkeeper.policy.values import read_span, read_table

FOLLOW_UP_MIN: Final = timedelta(minutes=10)  # people who are notified more often stop reading
LEVELS_MAX: Final = 9  # as the database limits it
LEARNED: Final = "learned"  # in place of a span: derived from each account's own history
SILENCE_MIN: Final = timedelta(minutes=1)  # a bit more than the interval of checks
LEARNING_MIN: Final = timedelta(days=3)  # with less, one unusual day would decide
LEARNING_MAX: Final = timedelta(days=21)  # below the days that are kept (domain/silence.py)
FALSE_ALARM_MIN: Final = 1e-12
FALSE_ALARM_MAX: Final = 0.01
HINTS_MAX: Final = 600  # a minute; more would be load
AfterClose = Literal["reopen", "case"]


def read_silence(tree: dict[str, Any], problems: list[str]) -> SilencePolicy:
    """Reads when an account counts as silent, and what is done then."""
    names = ("after", "learning", "false_alarm", "least", "ask_every", "unanswering")
    table = read_table(tree, ("silence",), names, problems)

    def span(name: str, least: timedelta = SILENCE_MIN) -> timedelta:
        return read_span(table.get(name), ("silence", name), problems, least=least, less="too short")

    learning = span("learning", LEARNING_MIN)
    if learning > LEARNING_MAX:
        problems.append(f"silence.learning: no more than {short(LEARNING_MAX)} of an account's history are kept")
    return SilencePolicy(
        after=None if table.get("after") == LEARNED else span("after"),
        learning=learning,
        false_alarm=_chance(table.get("false_alarm"), problems),
        least=span("least"),
        ask_every=span("ask_every"),
        unanswering=span("unanswering"),
    )


def _chance(value: Any, problems: list[str]) -> float:
    if type(value) is float and FALSE_ALARM_MIN <= value <= FALSE_ALARM_MAX:
        return value
    problems.append(f"silence.false_alarm: is a number from {FALSE_ALARM_MIN:g} to {FALSE_ALARM_MAX:g}, such as 1e-6")
    return FALSE_ALARM_MAX


def read_hints(tree: dict[str, Any], problems: list[str]) -> HintPolicy:
    """Reads how many unverified deliveries may have their gateway queried."""
    table = read_table(tree, ("hints",), ("per_minute", "again_after"), problems)
    per_minute = table.get("per_minute")
    if type(per_minute) is not int or not 0 <= per_minute <= HINTS_MAX:
        problems.append(f"hints.per_minute: is a number from 0 to {HINTS_MAX}")
        per_minute = 0
    again_after = read_span(
        table.get("again_after"), ("hints", "again_after"), problems, least=SILENCE_MIN, less="too short"
    )
    return HintPolicy(per_minute=per_minute, again_after=again_after)


def read_levels(value: Any, problems: list[str]) -> int:
    """Reads the number of levels that a case can be escalated through."""
    if type(value) is not int or not 1 <= value <= LEVELS_MAX:
        problems.append(f"cases.levels: is a number from 1 to {LEVELS_MAX}")
        return 1
    return value


def read_after_close(value: Any, problems: list[str]) -> AfterClose:
    """Reads what happens when money comes in after closing."""
    known = get_args(AfterClose)
    if value not in known:
        problems.append(f"closing.after: is {' or '.join(map(repr, known))}")
        return "case"
    return cast("AfterClose", value)
