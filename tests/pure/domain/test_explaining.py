"""Why an event changed nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.explaining import NoChange, Told, why_no_change

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def told(kind=Kind.PAYMENT_SUCCEEDED, second=0, **fields):
    defaults = {"account": "alipay-main", "ref": "2026"}
    return Told(kind=kind, occurred_at=NOON + timedelta(seconds=second), **{**defaults, **fields})


@pytest.mark.parametrize(
    ("event", "before", "why", "by"),
    [
        (told(Kind.PAYMENT_FAILED, 9), [told(Kind.PAYMENT_PENDING), told()], NoChange.SUCCESS_STANDS, 1),
        (told(second=5), [told(Kind.PAYMENT_PENDING, 1), told(second=3)], NoChange.TOLD_BEFORE, 1),
        (told(Kind.PAYMENT_PENDING), [told(Kind.PAYMENT_FAILED, 4)], NoChange.LATE, 0),
        (told(Kind.PAYMENT_PENDING, 4), [told(Kind.PAYMENT_FAILED, 4)], NoChange.KNOWN, None),
        (told(capture_ref="two"), [told(capture_ref="one")], NoChange.KNOWN, None),
        (told(Kind.REFUND_PENDING, ref="2026"), [told(second=4)], NoChange.KNOWN, None),
        (told(), [told(account="stripe-main"), told(ref="2027")], NoChange.KNOWN, None),
        (told(), [], NoChange.KNOWN, None),
    ],
)
def test_the_reason_rests_on_what_was_told_before_of_the_same_object(event, before, why, by):
    explanation = why_no_change(event, before)
    assert (explanation.why, explanation.by) == (why, by)
