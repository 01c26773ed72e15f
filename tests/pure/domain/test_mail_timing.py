"""Whether and when a mail to a payer is sent: the pure rules."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.database.factories import NOON
from tests.notice_factories import some_settings
from tillkeeper.domain.order.mail_timing import (
    PresentOrder,
    QuietHours,
    SendLater,
    SendNow,
    may_tell_payer,
    quiet_until,
)
from tillkeeper.domain.order.notice_outcomes import Dropped
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import ASKS_TO_PAY, OF_MONEY, Topic

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)


def a_summary(status=Status.PROCESSING, **sums):
    return Summary(**{"status": status, "captured": 0, "refunding": 0, "refunded": 0, **sums})


SAID = a_summary()


def an_order(summary=SAID, *, closed=False, held=False, under_way=False, unclear=False, mails=0):
    return PresentOrder(summary=summary, closed=closed, held=held, under_way=under_way, unclear=unclear, mails=mails)


def verdict(topic=Topic.PROCESSING, order=None, *, said=SAID, warned=False, expires_at=None, now=NOON, **settings):
    return may_tell_payer(
        topic,
        order or an_order(),
        said=said,
        warned=warned,
        expires_at=expires_at,
        limits=some_settings(**settings).mail_limits,
        now=now,
    )


def test_nothing_against_it_means_go():
    assert verdict() == SendNow()


@pytest.mark.parametrize("topic", Topic)
def test_money_is_told_of_an_order_closed_held_and_much_told_but_nothing_else(topic):
    told = verdict(topic, an_order(closed=True, held=True, mails=99), per_order_max=10)
    assert isinstance(told, SendNow if topic in OF_MONEY - {Topic.REFUNDING} else Dropped)
    assert isinstance(verdict(Topic.REFUNDING, an_order(closed=True, held=True, mails=9), per_order_max=10), SendNow)


def test_a_closed_order_is_told_of_its_closing_alone_and_a_held_one_of_nothing_but_money():
    assert isinstance(verdict(Topic.EXPIRED, an_order(closed=True)), SendNow)
    assert verdict(order=an_order(closed=True)) == Dropped(why="the order is closed")
    assert verdict(order=an_order(held=True)) == Dropped(why="the order is on hold")


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


def test_why_a_mail_is_dropped_is_said_in_words():
    [topic, *_] = ASKS_TO_PAY - OF_MONEY
    assert verdict(topic, expires_at=NOON) == Dropped(why="the order's time to pay is over")
    assert verdict(topic, an_order(closed=True)) == Dropped(why="the order is closed")
    assert verdict(topic, an_order(held=True)) == Dropped(why="the order is on hold")


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
    assert quiet_until(some_settings(quiet_hours="22:00-08:00").mail_limits.quiet, at) == until


@pytest.mark.parametrize(("at", "until"), [(local(11, 59), None), (local(12), local(14)), (local(14), None)])
def test_quiet_hours_within_a_day(at, until):
    assert quiet_until(some_settings(quiet_hours="12:00-14:00").mail_limits.quiet, at) == until


def test_quiet_hours_put_a_mail_off():
    assert verdict(quiet_hours="22:00-08:00", now=local(23)) == SendLater(until=local(8, day=23))


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    start=st.times(),
    end=st.times(),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_quiet_hours_always_end_and_soon(at, start, end, zone):
    until = quiet_until(QuietHours(start=start, end=end, zone=ZoneInfo(zone)), at)
    assert until is None or at < until <= at + timedelta(hours=25)


@pytest.mark.parametrize("topic", Topic)
def test_while_it_is_not_clear_whether_it_was_paid_nothing_that_asks_to_pay_is_sent(topic):
    unclear = verdict(topic, an_order(unclear=True), warned=True)
    asks = topic in ASKS_TO_PAY and topic is not Topic.PARTIALLY_PAID
    assert isinstance(unclear, SendLater if asks else SendNow)
