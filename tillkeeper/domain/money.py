"""Defines money: an integer of minor units and an ISO 4217 currency with its own exponent."""

from decimal import Decimal, InvalidOperation
from typing import Final

AMOUNT_MINOR_MAX: Final = 10**15  # ten trillion of a two-decimal currency; a bigint sum of thousands still fits

# ISO 4217 (list one, 2026): active currencies by the number of digits of their minor unit.
_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: Final = {code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()}


class BadMoney(ValueError):
    """The amount or currency is invalid; the text says what would be right."""


def exponent(currency: str) -> int:
    """Returns the digits of a currency's minor unit.  Raises BadMoney for what ISO 4217 does not list."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise BadMoney("a currency is three capital letters listed in ISO 4217, such as CNY") from None


def minor_from_major(text: str, currency: str) -> int:
    """Converts a decimal string in major units to exact minor units: ("12.30", "CNY") is 1230.

    Digits beyond the currency's exponent must be zero, for money is never rounded.  Raises BadMoney.
    """
    if not text or len(text) > 32 or not text.isascii() or not text.replace(".", "", 1).isdigit():  # noqa: PLR2004
        raise BadMoney("an amount is decimal digits with at most one point, such as 12.30")
    try:
        scaled = Decimal(text).scaleb(exponent(currency))
    except InvalidOperation as error:  # pragma: no cover - the check above leaves nothing that Decimal refuses
        raise BadMoney("an amount is decimal digits") from error
    if scaled != scaled.to_integral_value() or scaled > AMOUNT_MINOR_MAX:
        raise BadMoney(f"an amount in {currency} has at most {exponent(currency)} decimals and is not astronomic")
    return int(scaled)


def minor(value: object) -> int:
    """Reads a whole, non-negative amount of minor units out of parsed JSON.  Raises BadMoney for anything else."""
    if type(value) is not int or not 0 <= value <= AMOUNT_MINOR_MAX:
        raise BadMoney("an amount in minor units is a whole number, zero or more")
    return value


def format_minor(amount: int, currency: str) -> str:
    """Writes an amount for people: (1230, "CNY") is "12.30 CNY"."""
    digits = exponent(currency)
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f} {currency}"
