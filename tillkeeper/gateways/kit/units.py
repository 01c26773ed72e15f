"""Converts amounts as gateways write them into minor units of ISO 4217, with tables of where gateways differ.

A gateway counts in minor units of its own (an integer), or in major units (decimal text, or a JSON number).  Money is
never rounded: what does not fit the currency is a BadPayload.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from tillkeeper.domain.money import EXPONENTS, BadMoney, exponent, minor, minor_from_major
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.unknown_words import unknown_word

# The digits in which gateways count, where they are not those of ISO 4217.
STRIPE: Final = MappingProxyType({"ISK": 2, "UGX": 2, "MGA": 0})
ADYEN: Final = MappingProxyType({"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2})
CHECKOUT: Final = MappingProxyType({"CLP": 2})
PAYSTACK: Final = MappingProxyType({"XOF": 2, "RWF": 2})
ISO: Final[Mapping[str, int]] = MappingProxyType({})

# ISO 4217's numeric codes, where a gateway writes those (Lakala's oldest notices).
NUMERIC: Final = MappingProxyType({"156": "CNY", "344": "HKD", "840": "USD", "978": "EUR"})

# Whose each table is, and what says so: docs/gateways.md prints them.
TABLES: Final[Mapping[str, tuple[Mapping[str, int], str]]] = MappingProxyType(
    {
        "adyen": (ADYEN, 'docs.adyen.com, "Currency codes and minor units"'),
        "checkout": (CHECKOUT, 'checkout.com/docs, "Format the amount value": the last two digits are always 00'),
        "paystack": (PAYSTACK, "it counts hundredths everywhere; of francs as its plugins do, unsure"),
        "stripe": (STRIPE, 'docs.stripe.com, "Zero-decimal currencies" and "Special cases"'),
    }
)


class UnknownCurrency(BadPayload):
    """An amount is in an unknown currency: its object makes no event, but is not refused."""


def known_currency(field: str, written: str) -> str | None:
    """Returns the currency that a gateway wrote, in ISO 4217's letters; None for one that is not listed, which is
    told."""
    currency = NUMERIC.get(written, written)
    return currency if is_currency(currency, field) else None


def is_currency(code: str, field: str = "currency") -> bool:
    """Says whether money of that code can be counted; what cannot is noted for ops, and pays nothing."""
    if code in EXPONENTS:
        return True
    unknown_word(field, code)
    return False


def _check_known(currency: str) -> None:
    if not is_currency(currency):
        raise UnknownCurrency(f"{currency} is no currency that ISO 4217 lists")


def from_minor(amount: object, currency: str, digits: Mapping[str, int] = ISO) -> int:
    """Returns a whole number of the gateway's own minor units; `digits` is one of this module's tables."""
    if currency not in EXPONENTS:
        _check_known(currency)
    try:
        if (own := digits.get(currency)) is None:
            return minor(amount)
        return minor(_shifted(amount, exponent(currency) - own))
    except BadMoney as error:
        raise BadPayload(f"{currency}: {error}") from None


def _shifted(amount: object, digits: int) -> object:
    if digits == 0 or type(amount) is not int:
        return amount
    if digits < 0 and amount % 10**-digits:
        raise BadMoney("an amount has a fraction that its currency does not have")
    return amount * 10**digits if digits > 0 else amount // 10**-digits


def from_major(amount: object, currency: str) -> int:
    """Reads decimal text ("10.00") or a JSON number (an int or a Decimal, as strictjson reads it) in major units."""
    _check_known(currency)
    try:
        return minor_from_major(_written(amount), currency)
    except BadMoney as error:
        raise BadPayload(f"{currency}: {error}") from None


def _written(amount: object) -> str:
    if isinstance(amount, str):
        return amount
    if type(amount) is int or isinstance(amount, Decimal):
        return f"{amount:f}"
    raise BadMoney("an amount in major units is decimal text or a number")
