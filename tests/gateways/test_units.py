"""Amounts as gateways write them, where their minor units are not those of ISO 4217."""

import pytest

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units


def test_a_gateways_own_minor_units_become_those_of_iso_4217():
    assert units.from_minor(1200, "ISK", {"ISK": 2}) == 12
    assert units.from_minor(12, "KWD", {"KWD": 2}) == 120
    assert units.from_minor(12, "EUR", {"ISK": 2}) == 12
    with pytest.raises(BadPayload, match="fraction"):
        units.from_minor(1250, "ISK", {"ISK": 2})
    with pytest.raises(BadPayload):
        units.from_minor("12", "ISK", {"ISK": 2})


def test_minor_units_of_what_is_no_currency_are_refused():
    with pytest.raises(units.UnknownCurrency, match="XQX"):
        units.from_minor(1200, "XQX")
