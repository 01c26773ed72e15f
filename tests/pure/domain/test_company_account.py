"""Who somebody is, and what they may, by what the provider of their company's accounts says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.company_account import Member, NoMember, RoleRules, is_complete, member_in, role_given
from tillkeeper.domain.people import Role

ISSUER = "https://id.shop.example"
VALUES = {Role.VIEWER: frozenset({"staff"}), Role.OPERATOR: frozenset({"till", "shift"})}
RULES = RoleRules(name_claim="email", role_claim=("groups",), values=VALUES)
BY_USERNAME = RoleRules(name_claim="preferred_username", role_claim=("realm_access", "roles"), values=VALUES)
MEI = {"sub": "00u1", "email": "Mei@Shop.example", "email_verified": True, "groups": ["staff"], "name": "Mei  Lin"}


def test_a_person_is_their_subject_named_by_their_verified_address():
    assert member_in(MEI, RULES, issuer=ISSUER) == Member(
        issuer=ISSUER, subject="00u1", name="mei@shop.example", display_name="Mei Lin", role=Role.VIEWER
    )


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"sub": None}, "no_subject"),
        ({"sub": ""}, "no_subject"),
        ({"sub": 7}, "no_subject"),
        ({"sub": "x" * 256}, "no_subject"),
        ({"sub": "a\0b"}, "no_subject"),
        ({"sub": "\ud800"}, "no_subject"),
        ({"email_verified": False}, "unverified"),
        ({"email_verified": None}, "unverified"),
        ({"email_verified": "yes"}, "unverified"),
        ({"email_verified": ["true"]}, "unverified"),
        ({"email": None}, "no_name"),
        ({"email": ["mei@shop.example"]}, "no_name"),
        ({"email": "mei lin@shop.example"}, "no_name"),
        ({"email": "x" * 65}, "no_name"),
        ({"email": "system"}, "no_name"),
        ({"email": "mei\0"}, "no_name"),
    ],
)
def test_what_does_not_make_a_person_is_refused(claims, code):
    with pytest.raises(NoMember) as refused:
        member_in(MEI | claims, RULES, issuer=ISSUER)
    assert refused.value.code == code


def test_a_provider_that_says_true_as_a_text_is_understood():
    assert member_in(MEI | {"email_verified": "true"}, RULES, issuer=ISSUER).name == "mei@shop.example"


def test_a_username_needs_no_verified_address():
    claims = {"sub": "1", "preferred_username": "mei", "realm_access": {"roles": ["till"]}}
    member = member_in(claims, BY_USERNAME, issuer=ISSUER)
    assert (member.name, member.role) == ("mei", Role.OPERATOR)


@pytest.mark.parametrize("name", [None, "", "   ", 7, "a\u202eb", "a\0b", "\ud800"])
def test_a_name_that_cannot_be_shown_is_not(name):
    assert member_in(MEI | {"name": name}, RULES, issuer=ISSUER).display_name == "mei@shop.example"


def test_a_long_name_is_cut():
    assert member_in(MEI | {"name": "x" * 99 + " yz"}, RULES, issuer=ISSUER).display_name == "x" * 99


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff"], Role.VIEWER),
        (["staff", "shift", "cooks"], Role.OPERATOR),
        ("till", Role.OPERATOR),  # some say one group so
        (["tills", "Till", "till "], None),
        ([], None),
        (None, None),
        ({"till": True}, None),
        ([["till"]], None),
        (7, None),
        ("till staff", None),
    ],
)
def test_the_highest_role_that_a_value_gives_counts(groups, role):
    assert role_given({"groups": groups}, RULES) == role


@pytest.mark.parametrize("claims", [{}, {"realm_access": "till"}, {"realm_access": {"role": ["till"]}}])
def test_a_way_that_leads_nowhere_gives_no_role(claims):
    assert role_given(claims, BY_USERNAME) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_a_claim_holds_gives_a_role_only_by_a_value_that_is_listed(said):
    role = role_given({"groups": said}, RULES)
    listed = said if isinstance(said, list) else [said]
    assert (role is not None) == any(value in ("staff", "till", "shift") for value in listed if isinstance(value, str))


def test_more_is_asked_where_the_token_does_not_say_all():
    assert is_complete(MEI, RULES)
    for missing in ("email", "email_verified", "groups"):
        assert not is_complete({name: value for name, value in MEI.items() if name != missing}, RULES)
    assert is_complete({"preferred_username": "mei", "realm_access": {}}, BY_USERNAME)
