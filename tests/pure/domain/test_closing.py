"""Whether an order may be closed, and what stands against it."""

from datetime import timedelta

import msgspec
import pytest

from tests.pure.domain.factories import NOON, an_event, an_order
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.changes import ActKind, Changes
from tillkeeper.domain.order.closing import UNCLEAR, close_or_doubt, doubt, may_close_by_itself
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.progress import CANNOT_ASK

EXPIRED = NOON - timedelta(hours=1)


def an_expired_order(*events, **fields):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    order = an_order(facts=facts, expires_at=EXPIRED, **fields)
    return msgspec.structs.replace(order, stored=order.summary)


def decided(order, result="answered", *, answered=True, **more):
    changes = Changes.of(order)
    close_or_doubt(changes, result, answered=answered, now=NOON, **more)
    return changes


@pytest.mark.parametrize(
    ("kind", "may"),
    [
        (None, True),
        (Kind.PAYMENT_FAILED, True),
        (Kind.PAYMENT_PENDING, False),
        (Kind.PAYMENT_AUTHORIZED, False),
        (Kind.PAYMENT_SUCCEEDED, False),
    ],
)
def test_an_order_closes_by_itself_only_where_no_money_is_or_will_be_and_once(kind, may):
    order = an_expired_order(*([] if kind is None else [an_event(kind)]))
    assert may_close_by_itself(order) is may
    assert not may_close_by_itself(msgspec.structs.replace(order, closed_at=EXPIRED))


def test_it_closes_once_its_gateways_know_of_no_payment():
    changes = decided(an_expired_order())
    assert (changes.after.closed_at, changes.after.due_at) == (NOON, NOON)
    [act] = changes.acts
    assert (act.what, act.by, act.at) == (ActKind.CLOSE, "policy", NOON)
    assert act.note == "it expired, and its gateways know of no payment under way"
    assert changes.cases.opened == {}
    assert changes.askable_accounts == changes.after.order.accounts


def test_without_an_answer_it_stays_open_and_a_person_is_told_why():
    changes = decided(an_expired_order(), "no answer: busy", answered=False)
    assert (changes.after.closed_at, changes.acts, changes.account_cases) == (None, (), ())
    [reason] = changes.cases.opened.values()
    assert (reason.kind, reason.subject) == (CaseKind.CLOSE_IN_DOUBT, f"order:{changes.after.order.order_ref}")
    assert reason.details == {"status": "unpaid", "expired_at": EXPIRED.isoformat(), "why": "no answer: busy"}
    assert not changes.askable_accounts


def test_with_an_answer_and_unclear_money_it_stays_open():
    order = an_expired_order(has_parked=True)
    changes = decided(order)
    assert changes.after.closed_at is None
    [reason] = changes.cases.opened.values()
    assert reason.details["why"] == "an event of it is parked"
    assert changes.askable_accounts == order.order.accounts
    assert doubt(msgspec.structs.replace(order, has_parked=False), "", answered=True).details["why"] == UNCLEAR


def test_accounts_that_cannot_be_asked_have_a_case_each_and_the_order_none():
    changes = decided(an_expired_order(), CANNOT_ASK, answered=False, unaskable={"b-main", "a-main"})
    assert (changes.after.closed_at, changes.cases.opened) == (None, {})
    cases = [(case.kind, case.subject, case.account, case.details["why"]) for case in changes.account_cases]
    assert cases == [(CaseKind.CLOSE_IN_DOUBT, f"account:{name}", name, CANNOT_ASK) for name in ("a-main", "b-main")]
    assert {case.details["first"] for case in changes.account_cases} == {changes.after.order.order_ref}
