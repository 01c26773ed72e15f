"""Whole lives of orders: some of the hundred thousand schedules of `make lives`, and faults that they must find."""

import msgspec
import pytest

from tests.pure.domain.lives import Share, report, shares
from tests.pure.domain.schedules import ends_well
from tests.pure.domain.trees import Tree
from tillkeeper.domain.order import answers, facts, reminders
from tillkeeper.domain.order.progress import Progress

LINES, SCHEDULES = 100, 1_500
TREES_MAX = 200  # each of the faults below is found in far fewer


def test_random_lines_and_trees_end_well():
    done = Share(first=1, step=1, lines=LINES, schedules=SCHEDULES).live()
    assert done["schedules"] >= SCHEDULES
    assert done["steps"] < done["steps of schedules"], "a tree shares what its leaves have in common"
    assert report(LINES, done).startswith(f"{done['schedules']:,} schedules: {LINES} lines, and ")


def test_shares_are_even_and_no_seed_is_lived_twice():
    first, second = shares(first=7, lines=3, schedules=11, processes=2)
    assert (first.first, first.lines, first.schedules) == (7, 2, 6)
    assert (second.first, second.lines, second.schedules) == (8, 1, 5)
    assert first.step == second.step == 2


def test_a_tree_is_the_same_each_time():
    assert Tree(3).explore() == Tree(3).explore()


def explore_all(seeds):
    for seed in seeds:
        Tree(seed).explore()


# --- faults -----------------------------------------------------------------------------------------------------------


def lets_declines_undo(monkeypatch):
    """A decline that comes late undoes a success."""
    dated = facts._dated
    monkeypatch.setattr(facts, "_dated", lambda *told: msgspec.structs.replace(dated(*told), absorbs=False))


def adds_up(monkeypatch):
    """A success that is told again, by an answer, is money again."""
    with_capture = facts._with_capture

    def with_one_more(payment, event, told):
        known = payment.captures.get(event.capture_ref or "")
        minor = told.minor + (0 if known is None else known.minor)
        return with_capture(payment, event, msgspec.structs.replace(told, minor=minor))

    monkeypatch.setattr(facts, "_with_capture", with_one_more)


def reminds_unasked(monkeypatch):
    """A payer is asked to pay without asking the gateway first."""
    monkeypatch.setattr(reminders, "needed_first", lambda order, step: None)


def forgets_dead_sweepers(monkeypatch):
    """A step whose sweeper died is taken as if it had not been."""
    with_taken = Progress.with_taken
    monkeypatch.setattr(
        Progress, "with_taken", lambda self, taken: self if taken.result is None else with_taken(self, taken)
    )


def closes_in_doubt(monkeypatch):
    """An order that expired closes although its gateways did not answer."""
    close_or_doubt = answers.close_or_doubt
    monkeypatch.setattr(
        answers,
        "close_or_doubt",
        lambda changes, result, *, answered, **more: close_or_doubt(changes, result, answered=True, **more),
    )


FAULTS = {
    lets_declines_undo: "a decline undid a success",
    adds_up: "end otherwise in another order",
    reminds_unasked: "asked to pay",
    forgets_dead_sweepers: "taken twice",
    closes_in_doubt: "closed without an answer",
}


@pytest.mark.parametrize(("plant", "message"), FAULTS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_trees_find_a_planted_fault_and_print_a_schedule_that_can_be_pasted(plant, message, monkeypatch):
    with monkeypatch.context() as planted:
        plant(planted)
        with pytest.raises(AssertionError, match=message) as found:
            explore_all(range(1, TREES_MAX))
        pasted = found.value.__notes__[0]
        with pytest.raises(AssertionError, match=message):
            eval(pasted, {"ends_well": ends_well})
    eval(pasted, {"ends_well": ends_well})  # the same ends well without the fault
