"""A shop's states beside ours: words, amounts, and what is not known."""

import pytest

from tillkeeper.domain.shadow import USUAL_WORDS, OursState, ShopState, differences_between, status_of
from tillkeeper.domain.statuses import STATUS_ZH, Status

OURS = OursState(status=Status.PAID, paid=12900, currency="CNY")


def differ(**said):
    return differences_between(ShopState(line=2, order_ref="A1", **said), OURS, USUAL_WORDS)


@pytest.mark.parametrize("word", ["paid", "Paid", " PAID ", "completed", "succeeded", STATUS_ZH[Status.PAID]])
def test_words_that_mean_the_same_agree(word):
    assert differ(word=word, paid=12900) == []


def test_what_the_file_does_not_say_does_not_differ():
    assert differ() == []


def test_another_state_and_another_amount_differ():
    assert differ(word="pending", paid=12900) == ["status"]
    assert differ(word="paid", paid=12800) == ["paid"]
    assert differ(word="failed", paid=0) == ["status", "paid"]


def test_a_word_that_nobody_explained_is_no_agreement():
    assert differ(word="shipped") == ["word"]


def test_separators_in_words_do_not_matter():
    for word in ("partially paid", "Partially-Paid", "partially_paid"):
        assert status_of(word, USUAL_WORDS) is Status.PARTIALLY_PAID
