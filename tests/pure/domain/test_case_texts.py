"""What cases are stored with, as people are shown it."""

import pytest

from tests.pure.domain.factories import an_event, an_order
from tests.pure.domain.test_decisions import with_facts
from tillkeeper.domain.order.advancing import phase_subject
from tillkeeper.domain.order.case_texts import CaseState, CaseSubject, state_in, subject_in, subject_in_words
from tillkeeper.domain.order.closing import account_subject


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("payment:alipay-main/P/1", CaseSubject(word="payment", account="alipay-main", ref="P/1")),
        ("refund:a/r", CaseSubject(word="refund", account="a", ref="r")),
        ("event:a/e", CaseSubject(word="event", account="a", ref="e")),
        ("event:e", CaseSubject(word="event", ref="e")),
        ("order:A/1", CaseSubject(word="order", ref="A/1")),
        (phase_subject(an_order("A1")), CaseSubject(word="order", ref="A1")),
        (account_subject("a"), CaseSubject(word="account", ref="a")),
        ("fetch:a/payment/p", CaseSubject(word="fetch", ref="a/payment/p")),
        ("mail 2026-11-22", None),
        ("", None),
    ],
)
def test_a_subject_is_read_into_a_word_an_account_and_a_reference(text, subject):
    assert subject_in(text) == subject


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("payment:alipay-main/P/1", "payment P/1 at alipay-main"),
        ("account:alipay-main", "account alipay-main"),
        ("mail 2026-11-22", "mail 2026-11-22"),
    ],
)
def test_a_subject_is_written_in_words(text, words):
    assert subject_in_words(text) == words


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("succeeded 173600 CNY", CaseState(word="succeeded", sums=((173600, "CNY"),))),
        ("succeeded 5 JPY 10 USD", CaseState(word="succeeded", sums=((5, "JPY"), (10, "USD")))),
        ("pending", CaseState(word="pending")),
        ("", None),
        ("refunds 3, captured", None),
        ("said at 2026-11-22 12:00:00Z", None),
    ],
)
def test_a_state_is_read_into_a_word_and_its_amounts(text, state):
    assert state_in(text) == state


def test_what_the_rules_write_is_read():
    order = with_facts(an_event(account="elsewhere", amount=40))
    [reason] = [reason for reason in order.case_reasons() if reason.kind == "unexpected_account"]
    assert subject_in(reason.subject) == CaseSubject(word="payment", account="elsewhere", ref="p1")
    assert state_in(reason.state) == CaseState(word="succeeded", sums=((40, "CNY"),))
