"""Writes amounts for people."""

from tillkeeper.domain.money import EXPONENTS, format_minor


def in_words(amount: int | None, currency: str | None) -> str | None:
    """Writes 12.30 CNY, or minor units where ISO 4217 does not list the currency; None for no amount."""
    if amount is None:
        return None
    if currency is not None and currency in EXPONENTS:
        return format_minor(amount, currency)
    return f"{amount} minor units of {currency or 'an unnamed currency'}"
