"""The tables of traps, which docs/gateways.md prints, name every gateway that has them."""

import re
from pathlib import Path

import pytest

from tillkeeper.domain.money import exponent
from tillkeeper.gateways.kit import times, units
from tillkeeper.gateways.registry import GATEWAYS

FOLDERS = Path(times.__file__).parents[1]


def users_of(pattern):
    """The gateways in whose files it stands."""
    files = [path for name in GATEWAYS for path in (FOLDERS / name).glob("*.py")]
    return {path.parent.name for path in files if re.search(pattern, path.read_text())}


def test_whoever_reads_times_without_a_zone_is_in_the_table():
    readers = users_of(r"import .*moment_from_(compact|dashed)")
    assert {each.gateway for each in times.LOCAL} == readers - {"standard"}  # its zone is a setting


@pytest.mark.parametrize("local", times.LOCAL, ids=lambda each: each.gateway)
def test_each_field_of_the_table_is_read_by_its_gateway(local):
    code = "".join(each.read_text() for each in (FOLDERS / local.gateway).glob("*.py"))
    assert all(f'"{name}"' in code for name in local.fields.split(", "))


def test_whoever_counts_otherwise_than_iso_4217_is_in_the_table():
    assert users_of(r"units\.(STRIPE|ADYEN|CHECKOUT|PAYSTACK)\b") == set(units.TABLES)
    for digits, source in units.TABLES.values():
        assert source
        assert all(exponent(currency) != told for currency, told in digits.items())
