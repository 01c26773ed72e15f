"""Whether the till is true, and what wants a look."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.till import PATIENCE, Backlog, Concern, TillFacts, Tone, Truth, judge

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def facts(read=timedelta(seconds=1), **waited):
    """What is open for how long, by concern; of each there are two."""
    backlogs = {Concern(name): Backlog(count=2, oldest=NOON - ago) for name, ago in waited.items()}
    return TillFacts(now=NOON, read_at=None if read is None else NOON - read, open=backlogs)


def test_where_nothing_waits_the_till_is_true():
    verdict = judge(facts())
    assert (verdict.truth, verdict.tone, verdict.looks) == (Truth.TRUE, Tone.CALM, ())


@pytest.mark.parametrize(
    ("known", "truth", "tone"),
    [
        (facts(read=None), Truth.UNKNOWN, Tone.ACT),
        (facts(read=11 * timedelta(seconds=1)), Truth.UNKNOWN, Tone.ACT),
        (facts(lanes=30 * timedelta(seconds=1)), Truth.TRUE, Tone.CALM),
        (facts(lanes=MINUTE, parked=MINUTE), Truth.BEHIND, Tone.LOOK),
        (facts(lanes=5 * MINUTE), Truth.BEHIND, Tone.ACT),
        (facts(paused_accounts=timedelta(0)), Truth.BEHIND, Tone.ACT),
        (facts(parked=MINUTE, quiet_accounts=MINUTE), Truth.PARTIAL, Tone.LOOK),
        (facts(quiet_accounts=HOUR), Truth.BLIND, Tone.ACT),
        (facts(waiting=14 * MINUTE), Truth.TRUE, Tone.CALM),
        (facts(waiting=15 * MINUTE), Truth.TRUE, Tone.LOOK),
        (facts(stuck=900 * HOUR), Truth.TRUE, Tone.LOOK),
        (facts(cases_raised=timedelta(0)), Truth.TRUE, Tone.ACT),
    ],
)
def test_the_first_line_that_holds_decides(known, truth, tone):
    verdict = judge(known)
    assert (verdict.truth, verdict.tone) == (truth, tone)


def test_what_is_urgent_stands_first_and_the_rest_in_the_order_of_the_table():
    verdict = judge(facts(cases=HOUR, parked=MINUTE, sweep=HOUR, stuck=HOUR))
    assert [(look.concern, look.tone) for look in verdict.looks] == [
        ("sweep", "act"),
        ("parked", "look"),
        ("cases", "look"),
        ("stuck", "look"),
    ]


def test_what_has_no_age_is_as_old_as_now():
    verdict = judge(TillFacts(now=NOON, read_at=NOON, open={Concern.CASES: Backlog(count=1)}))
    assert [(look.concern, look.count) for look in verdict.looks] == [("cases", 1)]


@given(st.dictionaries(st.sampled_from(Concern), st.timedeltas(timedelta(0), timedelta(days=9))))
def test_waiting_longer_is_never_less_urgent(waited):
    def of(more):
        return judge(facts(**{concern: ago + more for concern, ago in waited.items()}))

    now, later = of(timedelta(0)), of(HOUR)
    assert {look.concern for look in now.looks} <= {look.concern for look in later.looks}
    assert (now.tone is not Tone.ACT) or later.tone is Tone.ACT
    assert (now.tone is Tone.CALM) == (now.looks == ())


def test_every_concern_has_its_patience():
    assert set(PATIENCE) == set(Concern)
