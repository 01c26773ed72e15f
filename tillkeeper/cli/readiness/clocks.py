"""Judges how far another clock is from this machine's: gateways sign the time, and what is old is refused."""

from datetime import timedelta
from typing import Final

from tillkeeper.cli.readiness.finding import ReadinessFinding, ok, to_do, wrong

NOTABLE: Final = timedelta(seconds=5)
HARMFUL: Final = timedelta(seconds=60)  # of the 300 that most gateways' signatures allow
ADVICE: Final = "let NTP set this machine's clock (timedatectl set-ntp true), or the other one's"


def clock_finding(whose: str, offset: timedelta, uncertain: timedelta) -> ReadinessFinding:
    """Returns the line about a clock that is ahead by `offset`, give or take `uncertain`."""
    apart = max(abs(offset) - uncertain, timedelta())
    says = f"{whose} is {_seconds(abs(offset))} {'ahead' if offset >= timedelta() else 'behind'}"
    if apart >= HARMFUL:
        return wrong("clock", f"{says}: deliveries are refused when clocks are 300 s apart", ADVICE)
    if apart >= NOTABLE:
        return to_do("clock", says, ADVICE)
    return ok("clock", f"{whose} agrees, to {_seconds(max(abs(offset), uncertain))}")


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.3g} s" if span < timedelta(seconds=10) else f"{span.total_seconds():.0f} s"
