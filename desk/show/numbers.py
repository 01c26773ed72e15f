"""Writes numbers for people."""

from typing import Final

RATE_WHOLE: Final = 10  # from here on no decimal is worth reading


def whole(number: int) -> str:
    """Writes 1,204."""
    return f"{number:,}"


def up_to(number: int, limit: int) -> str:
    """Writes a count that ended at its limit as 10,000+."""
    return f"{whole(limit)}+" if number >= limit else whole(number)


def rate(per_s: float) -> str:
    """Writes a rate with as many decimals as say something: 0.03, 1.5, 120."""
    if per_s >= RATE_WHOLE:
        return whole(round(per_s))
    return f"{per_s:.1f}" if per_s >= 1 or per_s == 0 else f"{per_s:.2f}"
