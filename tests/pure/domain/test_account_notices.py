"""What is told of an account: when a silence begins and ends, and when a gateway answers no more and again."""

from datetime import UTC, datetime, timedelta

import pytest

from tillkeeper.domain.account_notices import silence_begins, silence_ends, unknown_word_notice
from tillkeeper.domain.policy import SilencePolicy
from tillkeeper.domain.silence import Activity, Answers, Begins, Ends, change_in_activity, change_in_answers, together

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = SilencePolicy(after=30 * MINUTE)
ACTIVITY = Activity(first_hour=NOON, last_at=NOON, minutes={NOON: 30})
FAILING = Answers(failing_since=NOON, failed_at=NOON + 20 * MINUTE, reason="denied")
BEGAN = Begins(kind="silent", since=NOON, usual_share=0.0)


@pytest.mark.parametrize(
    ("activity", "silent_since", "minutes", "change"),
    [
        (None, None, 90, None),
        (ACTIVITY, None, 29, None),
        (ACTIVITY, None, 30, BEGAN),
        (ACTIVITY, NOON, 90, None),
        (ACTIVITY, NOON, 20, None),  # nothing came since: a backlog was worked off
        (ACTIVITY, NOON - MINUTE, 20, Ends(kind="silent", until=NOON)),
    ],
)
def test_a_silence_begins_once_and_ends_when_something_came_since(activity, silent_since, minutes, change):
    found = change_in_activity(activity, POLICY, silent_since=silent_since, now=NOON + minutes * MINUTE)
    assert type(found) is type(change)
    if change is not None:
        assert (found.kind, getattr(found, "since", None)) == (change.kind, getattr(change, "since", None))


@pytest.mark.parametrize(
    ("answers", "is_open", "change"),
    [
        (FAILING, False, Begins(kind="unanswering", since=NOON)),
        (FAILING, True, None),
        (Answers(failing_since=NOON, failed_at=NOON), False, None),
        (Answers(), False, None),
        (Answers(), True, None),
        (Answers(answered_at=NOON), True, Ends(kind="unanswering", until=NOON)),
        (Answers(answered_at=NOON), False, None),
    ],
)
def test_who_does_not_answer_is_told_once_and_that_they_do_again_once(answers, is_open, change):
    assert change_in_answers(answers, POLICY, is_open=is_open) == change


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (Answers(), Answers(), Answers()),
        (Answers(answered_at=NOON), Answers(), Answers(answered_at=NOON)),
        (Answers(answered_at=NOON), Answers(answered_at=NOON + MINUTE), Answers(answered_at=NOON + MINUTE)),
        (FAILING, Answers(), FAILING),
        (FAILING, Answers(answered_at=NOON + 30 * MINUTE), Answers(answered_at=NOON + 30 * MINUTE)),
        (
            FAILING,
            Answers(answered_at=NOON + MINUTE),
            Answers(
                answered_at=NOON + MINUTE,
                failing_since=NOON + MINUTE,
                failed_at=NOON + 20 * MINUTE,
                reason="denied",
            ),
        ),
        (
            FAILING,
            Answers(failing_since=NOON - MINUTE, failed_at=NOON, reason="busy"),
            Answers(failing_since=NOON - MINUTE, failed_at=NOON + 20 * MINUTE, reason="denied"),
        ),
    ],
)
def test_what_two_sweepers_saw_is_joined_alike_in_either_order(one, other, joined):
    assert together(one, other) == together(other, one) == joined


def test_the_notices_say_since_when_and_how_long():
    silent = silence_begins("a", 7, Begins(kind="silent", since=NOON, usual_share=0.5), FAILING, now=NOON + 90 * MINUTE)
    assert (silent.key, silent.topic, silent.audience) == ("silence/7/account.silent", "account.silent", "ops")
    assert silent.payload == {
        "level": 1,
        "account": "a",
        "since": NOON,
        "minutes": 90,
        "usual_minutes_an_hour": 30,
        "answers": False,
    }
    failing = silence_begins("a", 8, Begins(kind="unanswering", since=NOON), FAILING, now=NOON + MINUTE)
    assert (failing.topic, failing.payload["reason"]) == ("account.unanswering", "denied")
    over = silence_ends("a", 8, Ends(kind="unanswering", until=NOON + 5 * MINUTE), since=NOON)
    assert (over.key, over.payload["minutes"]) == ("silence/8/account.answering", 5)
    assert unknown_word_notice("a", "status", "lost").key == "unknown_word/a/status/lost"
