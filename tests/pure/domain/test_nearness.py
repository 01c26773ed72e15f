"""Which references somebody may have mistaken for each other."""

import pytest

from tillkeeper.domain.nearness import is_alike, is_near


@pytest.mark.parametrize(
    "written",
    [
        "ORDER-1001",
        "order_1001",
        "ORDER1001",
        " ORDER-1001 ",
        "order",
        "7ORDER-1001",
        "shop-ORDER-1001",
        "ORDER-1001-a",
    ],
)
def test_what_differs_in_case_signs_or_what_stands_around_it_is_near(written: str):
    assert is_near("ORDER-1001", written)


@pytest.mark.parametrize("written", ["ORDER-1002", "100", "ORDER-10017", "7ORDER-100", "OTHER-77", ""])
def test_another_order_is_not(written: str):
    assert not is_near("ORDER-1001", written)


def test_a_number_is_no_part_of_a_longer_one():
    assert not is_near("1001", "31001")
    assert is_near("1001", "no. 1001")
    assert not is_near("", "")


def test_a_slip_is_alike():
    assert is_alike("ORDER-1001", "ORDRE-1001")
    assert not is_alike("ORDER-1001", "PO-9")
