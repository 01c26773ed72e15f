"""Names, roles and passwords of people at the desk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.people import (
    NAME_CHARS_MAX,
    PASSWORD_CHARS_MAX,
    BadName,
    BadPassword,
    Role,
    folded,
    lesser,
    name_of,
    prepared,
    refuse_bad_password,
)


@pytest.mark.parametrize("at", range(len(Role)))
def test_each_role_may_what_those_before_it_may_and_no_more(at):
    roles = list(Role)
    assert [roles[at].allows(needed) for needed in roles] == [rank <= at for rank in range(len(roles))]


@given(st.sampled_from(Role), st.sampled_from(Role))
def test_the_lesser_of_two_roles_allows_what_both_allow(one, other):
    assert all(lesser(one, other).allows(role) == (one.allows(role) and other.allows(role)) for role in Role)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("mei", "mei"),
        (" Mei ", "mei"),
        ("\uff2d\uff25\uff29", "mei"),
        ("李梅", "李梅"),
        ("straße", "strasse"),
        ("mei.li+night@shop.example", "mei.li+night@shop.example"),
        ("7_a-b", "7_a-b"),
    ],
)
def test_every_spelling_of_a_name_is_one_name(typed, name):
    assert name_of(typed) == name == folded(typed)


@pytest.mark.parametrize(
    "typed",
    ["", " ", "a b", ".mei", "-mei", "mei\n1", "mei\0", "<b>", "a/b", "x" * (NAME_CHARS_MAX + 1), "System", "policy"],
)
def test_what_is_no_name_is_refused(typed):
    with pytest.raises(BadName):
        name_of(typed)


@given(st.text(max_size=100))
def test_a_name_is_folded_once_and_for_all(typed):
    try:
        name = name_of(typed)
    except BadName:
        return
    assert name_of(name) == name


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("elevenchars", "short"),
        ("\uff41" * 11, "short"),
        ("x" * (PASSWORD_CHARS_MAX + 1), "long"),
        ("zzzzzzzzzzzz", "one_character"),
        ("Margaretemuller", "name"),
        ("margaretemuller margaretemuller", "name"),
    ],
)
def test_what_a_guesser_tries_first_is_no_password(password, code):
    with pytest.raises(BadPassword) as refused:
        refuse_bad_password(password, name="margaretemuller")
    assert refused.value.code == code
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password", ["correct horse", "密码密码密码密码密码密码很长", "margaretemuller!", "a" * 11 + "b"]
)
def test_other_passwords_are_taken(password):
    refuse_bad_password(password, name="margaretemuller")


def test_a_password_is_the_same_however_a_keyboard_composes_it():
    assert prepared("cafe\u0301 au lait") == prepared("caf\u00e9 au lait")
