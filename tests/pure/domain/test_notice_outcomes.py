"""What came of handing a notice to its channels, and how failures are remembered."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tillkeeper.domain.backoff import NOTICE
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.notice_outcomes import (
    GONE,
    RETRY_AFTER_MAX,
    ChannelEntry,
    ChannelState,
    Dead,
    Dropped,
    Failed,
    Sent,
    Uncertain,
    entry_of,
    gone_receivers,
    state_of,
    undeliverable,
)
from tillkeeper.domain.order.notices import Audience, Notice

DAY = timedelta(days=1)


def failing(count, *, give_up_after=DAY, wait=None):
    entry, now = None, NOON
    for _ in range(count):
        entry = entry_of(Failed(why="no", wait=wait), entry, give_up_after=give_up_after, now=now)
        if entry.next_at is None:
            break
        now = entry.next_at
    return entry


def test_failures_wait_longer_and_longer_and_then_are_given_up():
    assert [failing(number).next_at - failing(number).at for number in range(1, 8)] == list(NOTICE.pauses)
    last = failing(1000)
    assert (last.outcome, last.at, last.since) == (ChannelState.DEAD, NOON + DAY, NOON)
    assert last.why == f"given up after {last.failures} tries: no"


def test_the_last_try_is_at_the_end_of_its_time_not_after_it():
    hours = [failing(number, give_up_after=timedelta(hours=2)).at for number in range(1, 100)]
    assert max(hours) == NOON + timedelta(hours=2)


def test_a_receiver_may_ask_for_a_longer_pause_within_reason():
    assert failing(1, wait=timedelta(minutes=7)).next_at == NOON + timedelta(minutes=7)
    assert failing(1, wait=timedelta(seconds=1)).next_at == NOON + NOTICE.pause(1)
    assert failing(1, wait=timedelta(days=300), give_up_after=9 * DAY).next_at == NOON + RETRY_AFTER_MAX


def test_even_after_a_long_absence_of_ours_there_is_a_try_before_giving_up():
    entry = entry_of(Failed(why="no"), None, give_up_after=timedelta(hours=1), now=NOON + 30 * DAY)
    assert entry.outcome is ChannelState.FAILING


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Sent(), ChannelState.SENT),
        (Uncertain(why="x"), ChannelState.UNCERTAIN),
        (Dropped(why="x"), ChannelState.DROPPED),
        (Dead(why="x"), ChannelState.DEAD),
    ],
)
def test_everything_but_a_failure_is_final(outcome, said):
    entry = entry_of(outcome, failing(3), give_up_after=DAY, now=NOON)
    assert (entry.outcome, entry.is_final, entry.next_at) == (said, True, None)


def test_reasons_are_kept_short_and_printable():
    entry = entry_of(Dead(why="\x00\ud83d" + "x" * 9999), None, give_up_after=DAY, now=NOON)
    assert len(entry.why) == 300
    assert entry.why.isprintable()
    assert entry.why.encode()


def entries(*said, at=NOON):
    return {f"c{number}": ChannelEntry(outcome=outcome, at=at, why=outcome) for number, outcome in enumerate(said)}


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ((), "dropped"),
        ((ChannelState.DROPPED,), "dropped"),
        ((ChannelState.SENT, ChannelState.DROPPED), "sent"),
        ((ChannelState.SENT, ChannelState.UNCERTAIN), "uncertain"),
        ((ChannelState.SENT, ChannelState.DEAD, ChannelState.UNCERTAIN), "dead"),
    ],
)
def test_a_row_is_named_by_the_channel_that_somebody_must_know_of(said, state):
    told = state_of(entries(*said))
    assert (told.state, told.due_at) == (state, None)


def test_a_row_is_pending_until_its_last_channel_is_done_and_due_with_the_first():
    told = {**entries(ChannelState.SENT, ChannelState.DEAD), "x": failing(3), "y": failing(2)}
    state = state_of(told)
    assert (state.state, state.due_at) == ("pending", min(told["x"].next_at, told["y"].next_at))


def test_a_row_tells_the_latest_error_of_its_channels():
    told = {"x": failing(3), **entries(ChannelState.DEAD, at=NOON + DAY)}
    assert state_of(told).last_error == "dead"
    assert state_of({"x": failing(1)}).last_error == "no"
    assert state_of({"x": ChannelEntry(outcome=ChannelState.SENT, at=NOON)}).last_error is None


@pytest.mark.parametrize(
    ("audience", "subject"),
    [(Audience.PAYER, "notice:k1"), (Audience.MERCHANT, "c0 2026-11-22"), (Audience.OPS, "c0 2026-11-22")],
)
def test_each_payer_who_cannot_be_told_is_a_case_and_of_a_channel_that_takes_nothing_one_a_day(audience, subject):
    told = {
        **entries(ChannelState.DEAD, ChannelState.SENT),
        "before": ChannelEntry(outcome=ChannelState.DEAD, at=NOON - DAY),
    }
    [reason] = undeliverable(told, key="k1", audience=audience, topic="t", now=NOON)
    details = {"channel": "c0", "topic": "t", "notice": "k1", "why": "dead"}
    assert reason == CaseReason(kind="notice_undeliverable", subject=subject, details=details)


def test_ops_hear_once_a_day_of_a_receiver_that_is_gone():
    told = {
        **entries(ChannelState.DROPPED, ChannelState.SENT),
        "shop": ChannelEntry(outcome=ChannelState.DROPPED, at=NOON, why=GONE),
    }
    [notice] = gone_receivers(told, now=NOON)
    assert notice == Notice(
        key="webhook.gone/shop/2026-11-22",
        audience=Audience.OPS,
        topic="webhook.gone",
        payload={"channel": "shop", "level": 1, "text": GONE},
    )
