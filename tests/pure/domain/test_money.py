"""Money is exact or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.money import (
    AMOUNT_MINOR_MAX,
    EXPONENTS,
    BadMoney,
    exponent,
    format_minor,
    minor,
    minor_from_major,
)

currencies = st.sampled_from(sorted(EXPONENTS))


@given(st.integers(0, AMOUNT_MINOR_MAX), currencies)
def test_major_units_come_back_exactly(amount, currency):
    digits = exponent(currency)
    text = f"{amount // 10**digits}.{amount % 10**digits:0{digits}d}" if digits else str(amount)
    assert minor_from_major(text, currency) == amount


@pytest.mark.parametrize(
    ("text", "expected"), [("0.29", 29), ("12.30", 1230), ("12.300", 1230), ("12", 1200), ("12.", 1200)]
)
def test_decimal_strings_are_exact(text, expected):
    assert minor_from_major(text, "CNY") == expected


@pytest.mark.parametrize(
    "text", ["", " 1", "1,00", "-1", "+1", "1e3", "1.2.3", ".", "0.001", "\uff11\uff12", "NaN", "9" * 40, "9" * 20]
)
def test_what_is_not_exact_money_is_refused(text):
    with pytest.raises(BadMoney):
        minor_from_major(text, "CNY")


@pytest.mark.parametrize("value", [True, -1, 1.0, "1", None, AMOUNT_MINOR_MAX + 1])
def test_minor_units_are_whole_and_not_negative(value):
    with pytest.raises(BadMoney):
        minor(value)


def test_known_amounts_pass():
    assert minor(0) == 0
    assert minor(AMOUNT_MINOR_MAX) == minor_from_major(str(AMOUNT_MINOR_MAX), "JPY") == AMOUNT_MINOR_MAX


@pytest.mark.parametrize("code", ["cny", "XXX", "", "CNYY"])
def test_a_currency_is_one_that_iso_4217_lists(code):
    with pytest.raises(BadMoney):
        exponent(code)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1230, "CNY", "12.30 CNY"), (500, "JPY", "500 JPY"), (1234567, "KWD", "1,234.567 KWD"), (0, "USD", "0.00 USD")],
)
def test_amounts_are_shown_with_the_currencys_own_digits(amount, currency, text):
    assert format_minor(amount, currency) == text
