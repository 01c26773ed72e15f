"""Which references somebody may have mistaken for each other."""

import pytest

from tests.pure.domain.factories import an_event, an_order
from tillkeeper.domain.similar_references import (
    WaitingMoney,
    differs_by_a_typo,
    is_near,
    is_similar,
    parked_nearby,
    spellings,
    waiting_nearby,
    with_digits,
)


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
    assert is_similar("ORDER-1001", written)


@pytest.mark.parametrize("written", ["ORDER-1OO1", "ORDER-l00I", "shop order l0o1"])
def test_letters_for_digits_are_near_whatever_the_amount(written: str):
    assert is_near("ORDER-1001", written)
    assert is_near(written, "ORDER-1001")
    assert not is_similar("ORDER-1001", written)
    assert not is_near("ORDER-1002", written)


def test_all_spellings_of_an_end_are_looked_for():
    assert set(spellings("A1O")) == {"A10", "A1o", "Al0", "Alo", "Ai0", "Aio"}
    assert [*spellings("77")] == ["77"]


@pytest.mark.parametrize("written", ["ORDER-1002", "100", "ORDER-10017", "7ORDER-100", "OTHER-77", ""])
def test_another_order_is_not(written: str):
    assert not is_similar("ORDER-1001", written)


def test_a_number_is_no_part_of_a_longer_one():
    assert not is_similar("1001", "31001")
    assert is_similar("1001", "no. 1001")
    assert not is_similar("", "")


@pytest.mark.parametrize(("one", "other"), [("1", "a1"), ("A", "shop-A"), ("ab", "ab-c")])
def test_a_short_part_is_found_everywhere_and_says_nothing(one: str, other: str):
    assert not is_similar(one, other)
    assert is_similar(one, f" {one.lower()}-")


def test_a_slip_is_alike():
    assert differs_by_a_typo("ORDER-1001", "ORDRE-1001")
    assert not differs_by_a_typo("ORDER-1001", "PO-9")


def waiting(order_ref, amount=100):
    return WaitingMoney(account="a", order_ref=order_ref, payment_ref="p1", amount=amount, currency="CNY")


def test_money_waits_nearby_under_a_reference_that_is_near_or_alike_at_the_same_sum():
    order = an_order("ORDER-1001").order
    [near] = waiting_nearby(order, [waiting("order_1001", 1), waiting("OTHER-77"), waiting("ORDRE-1001", 1)])
    assert near.text == "payment p1 at a waits for an order 'order_1001': is that this one?"
    assert len([*waiting_nearby(order, [waiting("ORDRE-1001")])]) == 1


def test_a_parked_event_is_nearby_under_a_near_reference_and_not_its_own():
    parked = enumerate([[an_event(order_ref=ref)] for ref in ("order_1001", "ORDER-1001", None, "OTHER-77")])
    [near] = parked_nearby(an_order("ORDER-1001").order, parked)
    assert near.text.endswith("tillkeeper parked show 0")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SHOP-1O43", "SHOP-1043"),
        ("SHOP-o4l", "SHOP-041"),
        ("SHOP-1OO3", "SHOP-1003"),
        ("SHOP-1OOOIl3", "SHOP-1000113"),
        ("I7l", "171"),
        ("SHOP-OIL", "SHOP-OIL"),
        ("ORDER-1043", "ORDER-1043"),
    ],
)
def test_letters_beside_digits_may_be_meant_as_digits(typed: str, meant: str):
    assert with_digits(typed) == meant
