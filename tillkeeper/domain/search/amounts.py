"""Reads amounts of money out of what people write: 129.00, ¥129, 1,290.50 CNY, 129元."""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from tillkeeper.domain.money import AMOUNT_MINOR_MAX, EXPONENTS

_SIGNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "¥": ("CNY", "JPY"),
        "元": ("CNY",),
        "块": ("CNY",),
        "rmb": ("CNY",),
        "€": ("EUR",),
        "£": ("GBP",),
        "₩": ("KRW",),
        "₹": ("INR",),
        "₽": ("RUB",),
        "円": ("JPY",),
        "$": (),  # of a dozen countries
    }
)
_SIGN: Final = "|".join([*map(re.escape, _SIGNS), *(code.lower() for code in EXPONENTS)])
_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,4})?|\d{1,13}(?:\.\d{1,4})?"
_AMOUNT: Final = re.compile(
    rf"(?<![A-Za-z0-9_.,:-])(?:(?P<before>{_SIGN}) ?)?(?P<number>{_NUMBER})(?: ?(?P<after>{_SIGN}))?"
    r"(?![A-Za-z0-9_]|[.,:-][A-Za-z0-9])",
    re.IGNORECASE,
)

BARE_DIGITS_MAX: Final = 7  # a longer one is rather a reference


def amounts_in(text: str, *, bare_too: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Returns amounts in major units, each with the currencies that its sign may mean.

    Whole numbers without a sign are amounts only where the caller knows that one is meant, and nothing looks more like
    one.
    """
    marked, bare = list[tuple[str, tuple[str, ...]]](), list[tuple[str, tuple[str, ...]]]()
    for match in _AMOUNT.finditer(text):
        sign = (match["before"] or match["after"] or "").lower()
        found = match["number"].replace(",", ""), _SIGNS.get(sign, (sign.upper(),) if sign else ())
        if sign or "." in match["number"]:
            marked.append(found)
        elif len(match["number"]) <= BARE_DIGITS_MAX:
            bare.append(found)
    return marked or (bare if bare_too else [])


def minor_by_exponent(number: str) -> tuple[tuple[int, int], ...]:
    """Returns the minor units that an amount is, by the digits of a currency's minor unit; never rounded."""
    found = []
    for exponent in sorted(set(EXPONENTS.values())):
        scaled = Decimal(number).scaleb(exponent)
        if scaled == scaled.to_integral_value() and 0 < scaled <= AMOUNT_MINOR_MAX:
            found.append((exponent, int(scaled)))
    return tuple(found)
