"""Writes amounts: the figure, and apart from it the currency, which stands smaller."""

from typing import NamedTuple

from tillkeeper.domain.money import EXPONENTS, format_minor


class Written(NamedTuple):
    """An amount for people."""

    figure: str
    currency: str

    def plainly(self) -> str:
        """Returns it as one text: 129.00 CNY."""
        return f"{self.figure} {self.currency}"


def written(amount: int, currency: str | None) -> Written:
    """Writes an amount of minor units.  Of a currency that ISO 4217 does not list nobody knows the decimals: these are
    minor units, and marked as such."""
    if currency is None or currency not in EXPONENTS:
        return Written(f"{amount:,}", f"(minor) {currency or '?'}")
    figure, _, code = format_minor(amount, currency).rpartition(" ")
    return Written(figure, code)
