"""The answer to "the customer says they paid" follows from evidence, and "not paid" from certainty alone."""

import string
from datetime import timedelta
from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import NOON, an_event, an_order
from tillkeeper.domain.claim_words import HEADLINES, SAY, SIGN_WORDS, say
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.ladder import Action, Step
from tillkeeper.domain.likely_orders import LIKENESS_WORDS, Likeness, match_of
from tillkeeper.domain.order.cases import KnownCase
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.progress import Progress, Retry
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.payment_claim import (
    ANSWER_IS_FRESH,
    AccountTalk,
    Act,
    Known,
    OpenFetch,
    ParkedMoney,
    PossibleMoney,
    Sign,
    Verdict,
    answer,
)
from tillkeeper.domain.similar_references import WaitingMoney

NOW = NOON + timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ASKED = Progress(answered_at=NOW - MINUTE)
ORDER = Order(order_ref="ORD-77012345", amount=100, currency="CNY", accounts=frozenset({"stripe-main"}))


def order_with(*events, **fields):
    facts = reduce(apply, events, OrderFacts())
    return an_order(**{"order": ORDER, "facts": facts, "progress": ASKED, **fields})


def known(*events, order=None, **fields):
    return Known(**{"order": order or order_with(*events), "now": NOW, **fields})


def waiting(order_ref="ORD-770l2345", *, amount=100, account="stripe-main", seen_at=NOON, payment_ref="pi_w"):
    money = WaitingMoney(account=account, order_ref=order_ref, payment_ref=payment_ref, amount=amount, currency="CNY")
    match = match_of(ORDER, money, registered_at=NOON, seen_at=seen_at)
    return PossibleMoney(money=money, seen_at=seen_at, match=match)


def parked(**fields):
    return ParkedMoney(
        **{"number": 7, "account": "stripe-main", "payment_ref": "p1", "parked_at": NOON, "succeeded": True, **fields}
    )


def a_case(kind, subject="payment:stripe-main/p1", closed_by=None):
    case = KnownCase(kind=kind, subject=subject, order_id=1, state="", level=1, closed_by=closed_by)
    return {case.key: case}


PENDING, PART = an_event(Kind.PAYMENT_PENDING), an_event(amount=40)
REFUND = an_event(Kind.REFUND_SUCCEEDED, second=5, refund_ref="r1", amount=100)
RETRY = Retry(step=Step(action=Action.QUERY, at=NOON), tries=2, at=NOW + MINUTE)
TALK = AccountTalk(account="stripe-main")
FAILED = an_event(Kind.PAYMENT_FAILED, failure=FailureClass.INSUFFICIENT_FUNDS)

ANSWERS = {
    "captured": (known(an_event()), Verdict.PAID_HERE, [Sign.CAPTURED]),
    "captured and given back": (known(an_event(), REFUND), Verdict.PAID_HERE, [Sign.CAPTURED, Sign.GIVEN_BACK]),
    "granted by the gateway": (
        known(an_event(amount=0, discount=100)),
        Verdict.PAID_HERE,
        [Sign.CAPTURED],
    ),
    "parked success": (known(parked=(parked(),)), Verdict.TAKING_OVER, [Sign.PARKED]),
    "query under way": (
        known(fetches=(OpenFetch(account="stripe-main", payment_ref="p1", requested_at=NOON),)),
        Verdict.TAKING_OVER,
        [Sign.BEING_FETCHED],
    ),
    "refund without its payment": (known(REFUND), Verdict.TAKING_OVER, [Sign.IMPLIED]),
    "under a similar reference": (
        known(possible=(waiting("ord77012345", amount=7),)),
        Verdict.WAITS_ELSEWHERE,
        [Sign.WAITS],
    ),
    "under a typing error": (known(possible=(waiting(),)), Verdict.WAITS_ELSEWHERE, [Sign.WAITS]),
    "one of the amount": (known(possible=(waiting("zzz"),)), Verdict.WAITS_ELSEWHERE, [Sign.MAY_WAIT]),
    "two of the amount": (
        known(possible=(waiting("zzz"), waiting("yyy", payment_ref="pi_y"))),
        Verdict.NOT_KNOWN,
        [Sign.MAY_WAIT, Sign.MAY_WAIT],
    ),
    "a part": (known(PART), Verdict.WRONG_MONEY, [Sign.TOO_LITTLE]),
    "another currency": (
        known(order=order_with(cases=a_case("wrong_currency"))),
        Verdict.WRONG_MONEY,
        [Sign.WRONG_CURRENCY],
    ),
    "another account": (
        known(order=order_with(cases=a_case("unexpected_account"))),
        Verdict.WRONG_MONEY,
        [Sign.WRONG_ACCOUNT],
    ),
    "two orders named": (
        known(order=order_with(cases=a_case("reference_conflict"))),
        Verdict.WRONG_MONEY,
        [Sign.CONTRADICTED],
    ),
    "a case that is closed": (
        known(order=order_with(cases=a_case("wrong_currency", closed_by="mei"))),
        Verdict.NOT_PAID,
        [Sign.ANSWERED],
    ),
    "pending": (known(PENDING), Verdict.UNDER_WAY, [Sign.PENDING]),
    "parked, and no success": (known(parked=(parked(succeeded=False),)), Verdict.NOT_KNOWN, [Sign.PARKED]),
    "silent": (
        known(accounts=(msgspec.structs.replace(TALK, silent_since=NOON),)),
        Verdict.NOT_KNOWN,
        [Sign.SILENT],
    ),
    "unanswering": (
        known(accounts=(msgspec.structs.replace(TALK, failing_since=NOON),)),
        Verdict.NOT_KNOWN,
        [Sign.UNANSWERING],
    ),
    "cannot be asked": (known(unaskable=frozenset({"stripe-main"})), Verdict.NOT_KNOWN, [Sign.CANNOT_BE_ASKED]),
    "no answer yet": (
        known(order=order_with(progress=Progress(answered_at=NOW, unanswered={Action.QUERY: RETRY}))),
        Verdict.NOT_KNOWN,
        [Sign.NO_ANSWER],
    ),
    "never asked": (known(order=order_with(progress=Progress())), Verdict.NOT_KNOWN, [Sign.NOT_ASKED]),
    "asked too long ago": (
        known(order=order_with(progress=Progress(answered_at=NOW - ANSWER_IS_FRESH - MINUTE))),
        Verdict.NOT_KNOWN,
        [Sign.NOT_ASKED],
    ),
    "asked just now": (known(accounts=(TALK,)), Verdict.NOT_PAID, [Sign.ANSWERED]),
    "failed, and asked just now": (known(FAILED), Verdict.NOT_PAID, [Sign.ANSWERED, Sign.FAILED]),
    "called off, and asked just now": (
        known(an_event(Kind.PAYMENT_CANCELLED)),
        Verdict.NOT_PAID,
        [Sign.ANSWERED, Sign.FAILED],
    ),
    "another's account": (known(unaskable=frozenset({"paypal-main"})), Verdict.NOT_PAID, [Sign.ANSWERED]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_first_line_that_finds_evidence_is_the_answer(name):
    told, verdict, signs = ANSWERS[name]
    found = answer(told)
    assert (found.verdict, [each.sign for each in found.because]) == (verdict, signs)
    assert set(found.because).isdisjoint(found.besides)


def test_all_else_that_is_known_is_told_beside_the_answer():
    found = answer(known(an_event(), accounts=(msgspec.structs.replace(TALK, silent_since=NOON),)))
    assert found.verdict is Verdict.PAID_HERE
    assert Sign.SILENT in [each.sign for each in found.besides]


def test_an_authorized_part_is_under_way():
    part = an_event(Kind.PAYMENT_AUTHORIZED, amount=100)
    taken = an_event(second=5, amount=40, capture_ref="c1")
    again = an_event(Kind.PAYMENT_AUTHORIZED, second=6, amount=60, capture_ref="c2")
    found = answer(known(part, taken, again))
    signs = {each.sign for each in (*found.because, *found.besides)}
    assert Sign.TOO_LITTLE in signs
    assert Sign.HELD in signs


def test_what_can_be_done_is_what_makes_sense():
    assert answer(known(an_event())).acts == ()
    assert answer(known(possible=(waiting(),))).acts == (Act.BIND, Act.ASK, Act.HOLD)
    assert answer(known(parked=(parked(),))).acts == (Act.REPLAY, Act.ASK, Act.HOLD)
    assert answer(known(order=order_with(held_until=NOW + MINUTE))).acts == ()
    assert answer(known(order=order_with(closed_at=NOON))).acts == (Act.ASK,)


TALKS = st.builds(
    AccountTalk,
    account=st.just("stripe-main"),
    silent_since=st.none() | st.just(NOON),
    failing_since=st.none() | st.just(NOON),
)
ANY = st.builds(
    Known,
    order=st.builds(
        lambda events, answered_at, unanswered: order_with(
            *events, progress=Progress(answered_at=answered_at, unanswered=unanswered)
        ),
        st.lists(st.sampled_from([an_event(), PART, PENDING, REFUND, FAILED]), max_size=3),
        st.sampled_from([NOW, NOON - timedelta(days=1)]),
        st.sampled_from([{}, {Action.QUERY: RETRY}]),
    ),
    possible=st.lists(st.sampled_from([waiting(), waiting("zzz"), waiting("ord77012345")]), max_size=2).map(tuple),
    parked=st.lists(st.sampled_from([parked(), parked(succeeded=False)]), max_size=2).map(tuple),
    accounts=st.lists(TALKS, max_size=1).map(tuple),
    unaskable=st.sampled_from([frozenset(), frozenset({"stripe-main"})]),
    now=st.just(NOW),
)


@given(ANY)
def test_what_is_uncertain_is_never_not_paid(told):
    found = answer(told)
    assert (Sign.ANSWERED in [each.sign for each in (*found.because, *found.besides)]) == (
        found.verdict is Verdict.NOT_PAID
    )
    if found.verdict is Verdict.NOT_PAID:
        assert not told.parked
        assert not told.possible
        assert not told.unaskable
        assert not told.order.progress.unanswered
        assert told.order.progress.answered_at >= told.now - ANSWER_IS_FRESH
        assert not any(talk.silent_since or talk.failing_since for talk in told.accounts)
        assert not told.order.is_under_way
        assert told.order.summary.captured == 0


@given(ANY)
def test_the_customer_is_told_of_money_only_where_it_came_in(told):
    found = answer(told)
    words = say(told.order, found)
    for text in words.zh, words.en:
        assert "{" not in text
        assert "ORD-77012345" in text
    assert ("we have received" in words.en) == (
        found.verdict is Verdict.PAID_HERE and Sign.GIVEN_BACK not in [each.sign for each in found.because]
    )
    if found.verdict in {Verdict.TAKING_OVER, Verdict.WAITS_ELSEWHERE, Verdict.UNDER_WAY, Verdict.NOT_KNOWN}:
        assert "do not pay again" in words.en
        assert "不要再次付款" in words.zh


def test_the_words_name_the_amounts():
    given_back = known(an_event(), msgspec.structs.replace(REFUND, amount=40))
    assert "0.40 CNY" in say(given_back.order, answer(given_back)).en
    part = known(PART)
    assert "0.40 CNY has come in" in say(part.order, answer(part)).en
    strange = known(order=order_with(an_event(currency="XXX"), order=msgspec.structs.replace(ORDER, currency="XXX")))
    assert "100 XXX" in say(strange.order, answer(strange)).en


def test_every_answer_and_sign_has_words_and_only_two_things_are_filled_in():
    assert HEADLINES.keys() == set(Verdict)
    assert SIGN_WORDS.keys() == set(Sign)
    assert LIKENESS_WORDS.keys() == set(Likeness)
    assert {str(verdict) for verdict in Verdict} <= SAY.keys()
    for words in SAY.values():
        for text in words.zh, words.en:
            assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= {"order", "amount"}


MATCHES = [
    (waiting("ord 77012345", amount=1, account="x", seen_at=NOON + timedelta(days=30)), True, True),
    (waiting("ORD-770l2345", account="x", seen_at=NOON + timedelta(days=30)), True, True),
    (waiting("ORD-770l2345", amount=99), False, False),
    (waiting("zzz"), False, True),
    (waiting("zzz", account="x"), False, False),
    (waiting("zzz", seen_at=NOON + timedelta(days=4)), False, False),
    (waiting("zzz", seen_at=NOON - timedelta(days=1)), False, False),
]


@pytest.mark.parametrize(("possible", "likely", "at_all"), MATCHES)
def test_money_fits_an_order_by_its_reference_or_by_all_the_rest(possible, likely, at_all):
    assert (possible.match.is_likely, possible.match.is_possible) == (likely, at_all)


def test_the_reference_weighs_most():
    assert (
        waiting("ord77012345", amount=1).match.weight
        > waiting("ORD-770l2345").match.weight
        > waiting("zzz").match.weight
    )


def test_which_accounts_can_be_asked_is_added_by_who_knows():
    assert known().besides(frozenset({"stripe-main"})).unaskable == {"stripe-main"}
