"""The table of rights, and what is built on it."""

from tillkeeper.desk.access.roles import RIGHTS, role_for, takes_two
from tillkeeper.desk.routes import ROUTES
from tillkeeper.domain.people import Role


def test_each_right_has_a_name_of_its_own():
    assert len({right.name for right in RIGHTS}) == len(RIGHTS)


def test_what_moves_the_meaning_of_money_takes_two_operators():
    two = {right.name for right in RIGHTS if right.takes_two}
    assert two == {"bind", "resolve_mismatch", "close_in_doubt", "guard_go"}
    assert all(role_for(name) is Role.OPERATOR and takes_two(name) for name in two)
    assert not takes_two("look")


def test_rights_stand_in_the_order_of_their_roles():
    roles = list(Role)
    ranks = [roles.index(right.role) for right in RIGHTS]
    assert ranks == sorted(ranks)


# Which right an act needs, by the last part of its path.
NEEDS = {
    "take": "case",
    "note": "case",
    "follow-up": "case",
    "resolve": "case",
    "escalate": "escalate",
    "ask": "ask",
    "remind": "remind",
    "hold": "hold",
    "release": "hold",
    "close": "close",
    "reopen": "close",
    "replay": "replay",
    "discard": "replay",
    "bind": "bind",
}


def test_acts_need_what_the_table_says():
    acts = [route for route in ROUTES if route.method != "GET"]
    by_right = {route.path: NEEDS[word] for route in acts if (word := route.path.rpartition("/")[2]) in NEEDS}
    assert by_right
    assert {path: role_for(right) for path, right in by_right.items()} == {
        route.path: route.role for route in acts if route.path in by_right
    }


def test_viewers_change_nothing_but_what_is_their_own():
    acts = {route.path for route in ROUTES if route.method != "GET" and route.role == Role.VIEWER}
    assert acts == {"/sign-out", "/me/sessions/{id}/end", "/me/language", "/me/password", "/find"}  # which only reads
