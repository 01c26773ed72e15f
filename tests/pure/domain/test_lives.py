"""Whole lives of orders, some of the hundred thousand that `make lives` lives."""

import pytest

from tests.pure.domain.lives import Life, check
from tillkeeper.domain.order import reminders

LIVES = 150


def test_random_lives_end_well():
    for seed in range(1, LIVES + 1):
        check(seed)


def live_all(seeds):
    for seed in seeds:
        Life(seed).live()


def test_a_life_that_asks_to_pay_in_doubt_is_seen(monkeypatch):
    monkeypatch.setattr(reminders, "needed_first", lambda order, step: None)
    with pytest.raises(AssertionError, match="unclear"):
        live_all(range(1, 2000))
