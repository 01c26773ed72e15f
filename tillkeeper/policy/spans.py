"""Parses and writes moments as a policy has them: 90s, 1h30m, 10d; expiry-1h, due, due+24h; every 24h."""

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from tillkeeper.domain.ladder import ActionSteps, Anchor, StepTime

SPAN_MAX: Final = timedelta(days=366)  # a longer one is a mistake
EVERY_MIN: Final = timedelta(minutes=1)  # each repetition may cost a call of the gateway's API

_UNITS: Final[Mapping[str, timedelta]] = MappingProxyType(
    {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
)
_SPAN: Final = re.compile("".join(f"(?:([0-9]{{1,8}}){unit})?" for unit in _UNITS))
_STEP: Final = re.compile(r"(expiry|due)(?:([+-])(.+))?")
_EVERY: Final = re.compile(r"every +(.+)")


class BadSpan(Exception):
    """The text is no moment or span of time; the error says what would be right."""


def parse_span(text: str) -> timedelta:
    """Parses a span such as 90s, 5m, 1h30m or 10d.  Raises BadSpan."""
    found = _SPAN.fullmatch(text)
    if not text or found is None:
        raise BadSpan(f"{text!r} is no span of time; write 90s, 5m, 2h, 10d or 1h30m")
    numbers = zip(_UNITS.values(), found.groups(), strict=True)
    span = sum((int(number) * unit for unit, number in numbers if number), timedelta())
    if span > SPAN_MAX:
        raise BadSpan(f"{text!r} is longer than {short(SPAN_MAX)}, the longest span")
    return span


def parse_time(text: str) -> StepTime:
    """Parses a moment of a ladder such as 5m, expiry-1h or due.  Raises BadSpan."""
    if found := _STEP.fullmatch(text):
        anchor, sign, span = found.groups()
        offset = parse_span(span) if span else timedelta()
        return StepTime(anchor=Anchor(anchor), offset=-offset if sign == "-" else offset)
    if text.startswith("-"):
        raise BadSpan(f"{text!r} would be before the wait begins; only expiry and due have a before, as in expiry-1h")
    if _SPAN.fullmatch(text) is None or not text:
        raise BadSpan(f"{text!r} is no moment; write 5m, 1h30m, 10d, expiry-1h, due or due+24h")
    return StepTime(offset=parse_span(text))


def parse_every(text: str) -> timedelta | None:
    """Parses the span in "every 24h"; returns None where the text begins otherwise.  Raises BadSpan."""
    found = _EVERY.fullmatch(text)
    if found is None:
        return None
    every = parse_span(found[1])
    if every < EVERY_MIN:
        raise BadSpan(f"{text!r} is too often; every {short(EVERY_MIN)} is the most")
    return every


def short(span: timedelta) -> str:
    """Writes a span as a policy does: 1h30m."""
    rest, parts = span, list[str]()
    for name, unit in _UNITS.items():
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def written(time: StepTime) -> str:
    """Writes a moment as a policy does: expiry-1h."""
    if time.anchor is Anchor.START:
        return short(time.offset)
    if not time.offset:
        return str(time.anchor)
    return f"{time.anchor}{'-' if time.offset < timedelta() else '+'}{short(abs(time.offset))}"


def written_all(steps: ActionSteps) -> tuple[str, ...]:
    """Writes all moments of an action as a policy does."""
    return (*map(written, steps.times), *((f"every {short(steps.every)}",) if steps.every else ()))
