"""Writes times: how far from now for people who look, and exactly, with the zone, for those who must know."""

from datetime import datetime, timedelta, tzinfo
from typing import Final

from tillkeeper.desk.person import Locale
from tillkeeper.desk.words import say_plainly

_UNITS: Final = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))
SECONDS_WORTH_SAYING: Final = 1
# The lesser unit stands beside the greater one only where it still says something.
LESSER_UP_TO: Final = {"days": 7, "hours": 10}


def lasting(span: timedelta, locale: Locale) -> str:
    """Writes a span in one unit, or in two where the second still matters: 3 h 12 min, 40 s."""
    seconds = max(0, int(span.total_seconds()))
    for at, (unit, size) in enumerate(_UNITS):
        if seconds < size:
            continue
        greater = say_plainly(f"time.{unit}", locale, n=seconds // size)
        if seconds // size >= LESSER_UP_TO.get(unit, 0):
            return greater
        lesser, lesser_size = _UNITS[at + 1]
        rest = seconds % size // lesser_size
        return f"{greater} {say_plainly(f'time.{lesser}', locale, n=rest)}" if rest else greater
    return say_plainly("time.seconds", locale, n=0)


def relative(at: datetime, now: datetime, locale: Locale) -> str:
    """Writes a time's distance from now: 4 min ago, in 3 h."""
    distance = now - at
    if abs(distance.total_seconds()) < SECONDS_WORTH_SAYING:
        return say_plainly("time.now" if distance >= timedelta() else "time.instant", locale)
    if distance > timedelta():
        return say_plainly("time.ago", locale, span=lasting(distance, locale))
    return say_plainly("time.ahead", locale, span=lasting(-distance, locale))


def exact(at: datetime, zone: tzinfo) -> str:
    """Writes 2026-11-22 20:00:05 +08:00."""
    local = at.astimezone(zone)
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"


def of_day(at: datetime, now: datetime, zone: tzinfo, *, seconds: bool = False) -> str:
    """Writes the time of day, with its date where that is another than today's: 14:02, 11-22 14:02."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    if local.date() == today.date():
        return clock
    return f"{local:%m-%d} {clock}" if local.year == today.year else f"{local:%Y-%m-%d} {clock}"


def machine(at: datetime) -> str:
    """Writes it for the attribute `datetime`."""
    return at.isoformat(timespec="seconds")
