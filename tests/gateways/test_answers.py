"""When a gateway said it, by its own clock or ours."""

from datetime import UTC, datetime

import pytest
from specimen import NOW

from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.messages import Response

LATE = datetime(2026, 10, 5, 12, 0, 0, 999_999, tzinfo=UTC)


def at(*dates):
    return answered_at(Response(status=200, headers={"date": dates} if dates else {}, body=b""), LATE)


def test_the_date_header_tells_in_whole_seconds():
    assert at("Mon, 05 Oct 2026 11:59:57 GMT") == datetime(2026, 10, 5, 11, 59, 57, tzinfo=UTC)


@pytest.mark.parametrize(
    "dates",
    [
        (),
        ("",),
        ("yesterday",),
        ("Mon, 05 Oct 2026 11:59:57 GMT",) * 2,
        ("Mon, 05 Oct 2026 11:59:57 CET",),
        ("Mon, 05 Okt 2026 11:59:57 GMT",),
        ("Mon, 32 Oct 2026 11:59:57 GMT",),
        ("Mon, 05 Oct 2026 24:59:57 GMT",),
        ("Monday, 05-Oct-26 11:59:57 GMT",),
        ("Mon, \uff10\uff15 Oct 2026 11:59:57 GMT",),
        ("Mon, 05 Oct 2026 11:59:57 GMT\n",),
        ("Sun, 04 Oct 2026 11:59:57 GMT",),
        ("Tue, 05 Oct 2027 12:00:00 GMT",),
    ],
    ids=ascii,
)
def test_where_it_does_not_or_is_a_day_off_our_clock_stands_in(dates):
    assert at(*dates) == NOW
