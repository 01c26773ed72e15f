"""Whether and when a notice is sent, and how failures are remembered: the pure rules."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.database.factories import NOON
from tests.notice_factories import some_settings
from tillkeeper.domain.backoff import NOTICE
from tillkeeper.domain.order.status import Status
from tillkeeper.domain.order.summary import Summary
from tillkeeper.notices.deciding import (
    ASKS_TO_PAY,
    OF_MONEY,
    RETRY_AFTER_MAX,
    SendLater,
    SendNow,
    Topic,
    entry_of,
    may_tell_payer,
    quiet_until,
    state_of,
)
from tillkeeper.notices.outcome import ChannelState, Dead, Dropped, Entry, Failed, Sent, Uncertain
from tillkeeper.notices.settings import QuietHours
from tillkeeper.store.outbox.sending import OrderNow

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)


def a_summary(status=Status.PROCESSING, **sums):
    return Summary(**{"status": status, "captured": 0, "refunding": 0, "refunded": 0, **sums})


SAID = a_summary()


def an_order(summary=SAID, *, closed=False, held=False, under_way=False, unclear=False, mails=0):
    return OrderNow(summary=summary, closed=closed, held=held, under_way=under_way, unclear=unclear, mails=mails)


def verdict(topic=Topic.PROCESSING, order=None, *, said=SAID, warned=False, expires_at=None, now=NOON, **settings):
    return may_tell_payer(
        topic,
        order or an_order(),
        said=said,
        warned=warned,
        expires_at=expires_at,
        settings=some_settings(**settings),
        now=now,
    )


def test_nothing_against_it_means_go():
    assert verdict() == SendNow()


@pytest.mark.parametrize("topic", Topic)
def test_money_is_told_of_an_order_closed_held_and_much_told_but_nothing_else(topic):
    told = verdict(topic, an_order(closed=True, held=True, mails=99), per_order_max=10)
    assert isinstance(told, SendNow if topic in OF_MONEY - {Topic.REFUNDING} else Dropped)
    assert isinstance(verdict(Topic.REFUNDING, an_order(closed=True, held=True, mails=9), per_order_max=10), SendNow)


@pytest.mark.parametrize("topic", Topic)
def test_every_topic_of_another_status_than_the_orders_is_overtaken(topic):
    assert isinstance(verdict(topic, an_order(a_summary(Status.REFUNDED))), Dropped)


@pytest.mark.parametrize("topic", Topic)
@pytest.mark.parametrize("moved", ["captured", "refunding", "refunded"])
def test_every_topic_of_other_sums_than_the_orders_is_overtaken(topic, moved):
    assert isinstance(verdict(topic, an_order(a_summary(**{moved: 1}))), Dropped)


@pytest.mark.parametrize("topic", Topic)
def test_after_the_deadline_nobody_is_asked_to_pay(topic):
    assert isinstance(verdict(topic, expires_at=NOON), Dropped if topic in ASKS_TO_PAY else SendNow)
    assert verdict(topic, expires_at=NOON + DAY) == SendNow()


@pytest.mark.parametrize("topic", Topic)
def test_who_began_to_pay_just_now_is_not_asked_to_by_a_mail_that_was_written_before(topic):
    under_way = an_order(under_way=True)
    assert isinstance(verdict(topic, under_way), SendLater if topic in ASKS_TO_PAY else SendNow)
    assert verdict(topic, under_way, warned=True) == SendNow()


def local(hour, minute=0, *, day=22, zone=SHANGHAI):
    return datetime(2026, 11, day, hour, minute, tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (local(21, 59), None),
        (local(22), local(8, day=23)),
        (local(23, 59), local(8, day=23)),
        (local(0), local(8)),
        (local(7, 59), local(8)),
        (local(8), None),
    ],
)
def test_quiet_hours_past_midnight(at, until):
    assert quiet_until(some_settings(quiet_hours="22:00-08:00").quiet, SHANGHAI, at) == until


@pytest.mark.parametrize(("at", "until"), [(local(11, 59), None), (local(12), local(14)), (local(14), None)])
def test_quiet_hours_within_a_day(at, until):
    assert quiet_until(some_settings(quiet_hours="12:00-14:00").quiet, SHANGHAI, at) == until


def test_quiet_hours_put_a_mail_off():
    assert verdict(quiet_hours="22:00-08:00", now=local(23)) == SendLater(until=local(8, day=23))


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    start=st.times(),
    end=st.times(),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_quiet_hours_always_end_and_soon(at, start, end, zone):
    until = quiet_until(QuietHours(start=start, end=end), ZoneInfo(zone), at)
    assert until is None or at < until <= at + timedelta(hours=25)


def failing(count, *, give_up_after=DAY, wait=None):
    entry, now = None, NOON
    for _ in range(count):
        entry = entry_of(Failed(why="no", wait=wait), entry, give_up_after=give_up_after, now=now)
        if entry.next_at is None:
            break
        now = entry.next_at
    return entry


def test_failures_wait_longer_and_longer_and_then_are_given_up():
    assert [failing(it).next_at - failing(it).at for it in range(1, 8)] == list(NOTICE.pauses)
    last = failing(1000)
    assert (last.outcome, last.at) == (ChannelState.DEAD, NOON + DAY)


def test_the_last_try_is_at_the_end_of_its_time_not_after_it():
    hours = [failing(it, give_up_after=timedelta(hours=2)).at for it in range(1, 100)]
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
    return {f"c{number}": Entry(outcome=it, at=at, why=it) for number, it in enumerate(said)}


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


@pytest.mark.parametrize("topic", Topic)
def test_while_it_is_not_clear_whether_it_was_paid_nothing_that_asks_to_pay_is_sent(topic):
    unclear = verdict(topic, an_order(unclear=True), warned=True)
    asks = topic in ASKS_TO_PAY and topic is not Topic.PARTIALLY_PAID
    assert isinstance(unclear, SendLater if asks else SendNow)
