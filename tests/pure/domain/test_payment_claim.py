"""The answer to "the customer says they paid" follows from evidence, and "not paid" from certainty alone."""

import string
from datetime import timedelta
from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import NOON, an_event, an_order
from tillkeeper.domain.claim_words import HEADLINES, SAY, SIGN_WORDS, has_too_much, headline, say
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
    ClaimAct,
    ClaimKnowledge,
    ClaimSign,
    ClaimVerdict,
    HeldEvent,
    OpenFetch,
    ParkedMoney,
    PossibleMoney,
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
    return ClaimKnowledge(**{"order": order or order_with(*events), "now": NOW, **fields})


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
HELD = HeldEvent(account="stripe-main", payment_ref="p1", amount=100, currency="CNY", received_at=NOON, succeeded=True)
TALK = AccountTalk(account="stripe-main")
FAILED = an_event(Kind.PAYMENT_FAILED, failure=FailureClass.INSUFFICIENT_FUNDS)

ANSWERS = {
    "captured": (known(an_event()), ClaimVerdict.PAID_HERE, [ClaimSign.CAPTURED]),
    "captured and given back": (
        known(an_event(), REFUND),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED, ClaimSign.GIVEN_BACK],
    ),
    "captured, and more than is due": (
        known(an_event(amount=130)),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED, ClaimSign.TOO_MUCH],
    ),
    "captured twice, and a part of it given back": (
        known(an_event(), an_event(payment_ref="p2"), msgspec.structs.replace(REFUND, amount=40)),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED, ClaimSign.CAPTURED, ClaimSign.GIVEN_BACK, ClaimSign.TOO_MUCH],
    ),
    "captured twice, and one given back": (
        known(an_event(), an_event(payment_ref="p2"), REFUND),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED, ClaimSign.CAPTURED, ClaimSign.GIVEN_BACK],
    ),
    "captured, and more than is due, as a person decided": (
        known(order=order_with(an_event(amount=130), cases=a_case("overpaid", "order:ORD-77012345", closed_by="mei"))),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED],
    ),
    "captured, and more than is due, as nobody decided": (
        known(order=order_with(an_event(amount=130), cases=a_case("overpaid", "order:ORD-77012345"))),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED, ClaimSign.TOO_MUCH],
    ),
    "granted by the gateway": (
        known(an_event(amount=0, discount=100)),
        ClaimVerdict.PAID_HERE,
        [ClaimSign.CAPTURED],
    ),
    "parked success": (known(parked=(parked(),)), ClaimVerdict.TAKING_OVER, [ClaimSign.PARKED]),
    "held by the guard": (known(held=(HELD,)), ClaimVerdict.TAKING_OVER, [ClaimSign.HELD_BACK]),
    "held by the guard, and no success": (
        known(held=(msgspec.structs.replace(HELD, succeeded=False),)),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.HELD_BACK],
    ),
    "paused": (
        known(accounts=(msgspec.structs.replace(TALK, paused_at=NOON),)),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.PAUSED],
    ),
    "query under way": (
        known(fetches=(OpenFetch(account="stripe-main", payment_ref="p1", requested_at=NOON),)),
        ClaimVerdict.TAKING_OVER,
        [ClaimSign.BEING_FETCHED],
    ),
    "refund without its payment": (known(REFUND), ClaimVerdict.TAKING_OVER, [ClaimSign.IMPLIED]),
    "under a similar reference": (
        known(possible=(waiting("ord77012345", amount=7),)),
        ClaimVerdict.WAITS_ELSEWHERE,
        [ClaimSign.WAITS],
    ),
    "under a typing error": (known(possible=(waiting(),)), ClaimVerdict.WAITS_ELSEWHERE, [ClaimSign.WAITS]),
    "one of the amount": (known(possible=(waiting("zzz"),)), ClaimVerdict.WAITS_ELSEWHERE, [ClaimSign.MAY_WAIT]),
    "two of the amount": (
        known(possible=(waiting("zzz"), waiting("yyy", payment_ref="pi_y"))),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.MAY_WAIT, ClaimSign.MAY_WAIT],
    ),
    "a part": (known(PART), ClaimVerdict.WRONG_MONEY, [ClaimSign.TOO_LITTLE]),
    "another currency": (
        known(order=order_with(cases=a_case("wrong_currency"))),
        ClaimVerdict.WRONG_MONEY,
        [ClaimSign.WRONG_CURRENCY],
    ),
    "another account": (
        known(order=order_with(cases=a_case("unexpected_account"))),
        ClaimVerdict.WRONG_MONEY,
        [ClaimSign.WRONG_ACCOUNT],
    ),
    "two orders named": (
        known(order=order_with(cases=a_case("reference_conflict"))),
        ClaimVerdict.WRONG_MONEY,
        [ClaimSign.CONTRADICTED],
    ),
    "a case that is closed": (
        known(order=order_with(cases=a_case("wrong_currency", closed_by="mei"))),
        ClaimVerdict.NOT_PAID,
        [ClaimSign.ANSWERED],
    ),
    "pending": (known(PENDING), ClaimVerdict.UNDER_WAY, [ClaimSign.PENDING]),
    "parked, and no success": (known(parked=(parked(succeeded=False),)), ClaimVerdict.NOT_KNOWN, [ClaimSign.PARKED]),
    "silent": (
        known(accounts=(msgspec.structs.replace(TALK, silent_since=NOON),)),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.SILENT],
    ),
    "unanswering": (
        known(accounts=(msgspec.structs.replace(TALK, failing_since=NOON),)),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.UNANSWERING],
    ),
    "cannot be asked": (
        known(unaskable=frozenset({"stripe-main"})),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.CANNOT_BE_ASKED],
    ),
    "no answer yet": (
        known(order=order_with(progress=Progress(answered_at=NOW, unanswered={Action.QUERY: RETRY}))),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.NO_ANSWER],
    ),
    "never asked": (known(order=order_with(progress=Progress())), ClaimVerdict.NOT_KNOWN, [ClaimSign.NOT_ASKED]),
    "asked too long ago": (
        known(order=order_with(progress=Progress(answered_at=NOW - ANSWER_IS_FRESH - MINUTE))),
        ClaimVerdict.NOT_KNOWN,
        [ClaimSign.NOT_ASKED],
    ),
    "asked just now": (known(accounts=(TALK,)), ClaimVerdict.NOT_PAID, [ClaimSign.ANSWERED]),
    "failed, and asked just now": (known(FAILED), ClaimVerdict.NOT_PAID, [ClaimSign.ANSWERED, ClaimSign.FAILED]),
    "called off, and asked just now": (
        known(an_event(Kind.PAYMENT_CANCELLED)),
        ClaimVerdict.NOT_PAID,
        [ClaimSign.ANSWERED, ClaimSign.FAILED],
    ),
    "another's account": (known(unaskable=frozenset({"paypal-main"})), ClaimVerdict.NOT_PAID, [ClaimSign.ANSWERED]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_first_line_that_finds_evidence_is_the_answer(name):
    told, verdict, signs = ANSWERS[name]
    found = answer(told)
    assert (found.verdict, [each.sign for each in found.because]) == (verdict, signs)
    assert set(found.because).isdisjoint(found.besides)


def test_all_else_that_is_known_is_told_beside_the_answer():
    found = answer(known(an_event(), accounts=(msgspec.structs.replace(TALK, silent_since=NOON),)))
    assert found.verdict is ClaimVerdict.PAID_HERE
    assert ClaimSign.SILENT in [each.sign for each in found.besides]


def test_money_that_counts_for_nothing_is_told_with_its_sum():
    strange = an_event(currency="USD", amount=8_800)
    found = answer(known(order=order_with(strange, cases=a_case("wrong_currency"))))
    assert [(each.amount, each.currency, each.at) for each in found.because] == [(8_800, "USD", strange.occurred_at)]
    other = an_event(Kind.PAYMENT_SUCCEEDED, second=9, amount=7, capture_ref="c2", currency="EUR")
    named = an_event(currency="USD", amount=8_800, capture_ref="c1")
    mixed = answer(known(order=order_with(named, other, cases=a_case("wrong_currency"))))
    assert [(each.amount, each.currency) for each in mixed.because] == [(None, None)]


def test_money_that_facts_imply_is_not_being_taken_over_where_other_money_is_here():
    """A payment came in, and another that was never seen gave something back: nobody waits for that one to come in."""
    part = an_event(amount=40)
    unseen = an_event(Kind.REFUND_SUCCEEDED, second=5, payment_ref="p9", refund_ref="r9", amount=10)
    found = answer(known(part, unseen))
    assert ClaimSign.IMPLIED not in {each.sign for each in (*found.because, *found.besides)}
    alone = answer(known(unseen))
    assert ClaimSign.IMPLIED in {each.sign for each in (*alone.because, *alone.besides)}


def test_an_authorized_part_is_under_way():
    part = an_event(Kind.PAYMENT_AUTHORIZED, amount=100)
    taken = an_event(second=5, amount=40, capture_ref="c1")
    again = an_event(Kind.PAYMENT_AUTHORIZED, second=6, amount=60, capture_ref="c2")
    found = answer(known(part, taken, again))
    signs = {each.sign for each in (*found.because, *found.besides)}
    assert ClaimSign.TOO_LITTLE in signs
    assert ClaimSign.HELD in signs


def test_what_can_be_done_is_what_makes_sense():
    assert answer(known(an_event())).acts == ()
    assert answer(known(possible=(waiting(),))).acts == (ClaimAct.BIND, ClaimAct.ASK, ClaimAct.HOLD)
    assert answer(known(parked=(parked(),))).acts == (ClaimAct.REPLAY, ClaimAct.ASK, ClaimAct.HOLD)
    assert answer(known(order=order_with(held_until=NOW + MINUTE))).acts == ()
    assert answer(known(order=order_with(closed_at=NOON))).acts == (ClaimAct.ASK,)


TALKS = st.builds(
    AccountTalk,
    account=st.just("stripe-main"),
    silent_since=st.none() | st.just(NOON),
    failing_since=st.none() | st.just(NOON),
)
ANY = st.builds(
    ClaimKnowledge,
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
    assert (ClaimSign.ANSWERED in [each.sign for each in (*found.because, *found.besides)]) == (
        found.verdict is ClaimVerdict.NOT_PAID
    )
    if found.verdict is ClaimVerdict.NOT_PAID:
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
        found.verdict is ClaimVerdict.PAID_HERE
        and (has_too_much(found) or ClaimSign.GIVEN_BACK not in [each.sign for each in found.because])
    )
    if found.verdict in {
        ClaimVerdict.TAKING_OVER,
        ClaimVerdict.WAITS_ELSEWHERE,
        ClaimVerdict.UNDER_WAY,
        ClaimVerdict.NOT_KNOWN,
    } or has_too_much(found):
        assert "do not pay again" in words.en.lower()
        assert "不要再次付款" in words.zh


def test_the_words_name_the_amounts():
    given_back = known(an_event(), msgspec.structs.replace(REFUND, amount=40))
    assert "0.40 CNY" in say(given_back.order, answer(given_back)).en
    part = known(PART)
    beyond = known(an_event(amount=130))
    assert "0.30 CNY more than is due" in say(beyond.order, answer(beyond)).en
    assert (headline(answer(beyond)).en, headline(answer(part)).en) == (
        "Paid here, and more than is due.",
        "The amount, the currency or the account is wrong.",
    )
    assert "0.40 CNY has come in" in say(part.order, answer(part)).en
    strange = known(order=order_with(an_event(currency="XXX"), order=msgspec.structs.replace(ORDER, currency="XXX")))
    assert "100 XXX" in say(strange.order, answer(strange)).en


def test_every_answer_and_sign_has_words_and_only_two_things_are_filled_in():
    assert HEADLINES.keys() == set(ClaimVerdict)
    assert SIGN_WORDS.keys() == set(ClaimSign)
    assert LIKENESS_WORDS.keys() == set(Likeness)
    assert {str(verdict) for verdict in ClaimVerdict} <= SAY.keys()
    for words in SAY.values():
        for text in words.zh, words.en:
            assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= {"order", "amount"}


MATCHES = [
    (waiting("ord 77012345", amount=1, account="x", seen_at=NOON + timedelta(days=30)), True, True),
    (waiting("ORD-770l2345", account="x", seen_at=NOON + timedelta(days=30)), True, True),
    (waiting("ORD-770l2345", amount=99, account="x", seen_at=NOON + timedelta(days=30)), True, True),
    (waiting("ORD-77O12345", amount=99), True, True),
    (waiting("ORD-77021345", amount=99), False, False),
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
