"""What a merchant says of a refund: its requests in their order, what contradicts them, and what it may take back."""

from datetime import UTC, datetime

import msgspec
import pytest

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.order.facts import WITHDRAWN
from tillkeeper.domain.order.refund_registration import (
    BEFORE_GATEWAYS,
    REQUEST_GAP,
    REQUESTS_MAX,
    AskedRefund,
    EarlierRequest,
    GatewayKnowsRefund,
    KnownRefund,
    event_id_of,
    is_registered,
    refuse_other_refund,
    request_number,
    requested_event,
    withdrawal_event,
)
from tillkeeper.domain.order.registration import Contradiction

ORDER = 7
ASKED = AskedRefund(order_ref="A1", account="a", refund_ref="re_1", payment_ref="p1", amount=30)
SAID = EarlierRequest(order_id=ORDER, amount=30, payment_ref="p1", outcome="applied")
BY_GATEWAY = datetime(2026, 11, 22, tzinfo=UTC)


def known(number=0, *, failure_code=None, **fields):
    told_at = BEFORE_GATEWAYS + number * REQUEST_GAP
    defaults = {"order_id": ORDER, "account": "a", "payment_ref": "p1", "amount": 30, "currency": "CNY"}
    return KnownRefund(**{**defaults, "told_at": told_at, "failure_code": failure_code, **fields})


@pytest.mark.parametrize(
    ("refund", "number"),
    [
        (None, 0),
        (known(told_at=BY_GATEWAY), 0),
        (known(4), 4),
        (known(4, failure_code=WITHDRAWN), 5),
    ],
)
def test_which_of_the_merchants_requests_it_is(refund, number):
    assert request_number(refund) == number


def test_a_number_is_not_used_for_ever():
    with pytest.raises(Contradiction) as refused:
        request_number(known(REQUESTS_MAX - 1, failure_code=WITHDRAWN))
    assert refused.value.field == "refund_ref"
    assert request_number(known(REQUESTS_MAX - 2, failure_code=WITHDRAWN)) == REQUESTS_MAX - 1


def test_the_same_again_is_registered_and_nothing_before_is_not():
    assert is_registered(ASKED, SAID, ORDER)
    assert not is_registered(ASKED, None, ORDER)


@pytest.mark.parametrize(
    ("said", "asked", "field"),
    [
        ({"order_id": 8}, {}, "payment_ref"),
        ({"order_id": 8}, {"payment_ref": None}, "refund_ref"),
        ({"outcome": "mismatched"}, {}, "payment_ref"),
        ({"amount": 31}, {}, "amount"),
        ({"payment_ref": None}, {}, "payment_ref"),
    ],
)
def test_something_else_under_the_same_number_contradicts(said, asked, field):
    replace = msgspec.structs.replace
    with pytest.raises(Contradiction) as raised:
        is_registered(replace(ASKED, **asked), replace(SAID, **said), ORDER)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"order_id": 8}, "refund_ref"), ({"amount": 31}, "amount"), ({"payment_ref": "p2"}, "payment_ref")],
)
def test_what_the_gateway_said_otherwise_contradicts(fields, field):
    with pytest.raises(Contradiction) as raised:
        refuse_other_refund(ASKED, known(**fields), ORDER)
    assert raised.value.field == field


def test_what_agrees_or_is_not_known_is_not_refused():
    for refund in (None, known(), known(amount=None, payment_ref=None)):
        refuse_other_refund(ASKED, refund, ORDER)
    refuse_other_refund(msgspec.structs.replace(ASKED, payment_ref=None), known(payment_ref="p2"), ORDER)


def test_a_withdrawal_follows_the_request_that_it_takes_back_and_only_the_merchants():
    asked = requested_event(ASKED, currency="CNY", number=2)
    taken_back = withdrawal_event("A1", "re_1", known(2))
    assert (asked.event_id, event_id_of(ASKED, 0)) == ("merchant:refund2:re_1", "merchant:refund:re_1")
    assert (taken_back.event_id, taken_back.kind) == ("merchant:undone3:re_1", Kind.REFUND_FAILED)
    assert taken_back.occurred_at - asked.occurred_at == REQUEST_GAP
    assert (taken_back.order_ref, taken_back.payment_ref, taken_back.refund_ref) == ("A1", "p1", "re_1")
    assert (taken_back.evidence, taken_back.failure_code) == (Evidence.OPERATOR, WITHDRAWN)
    assert withdrawal_event("A1", "re_1", known(3, failure_code=WITHDRAWN)) is None
    with pytest.raises(GatewayKnowsRefund):
        withdrawal_event("A1", "re_1", known(told_at=BY_GATEWAY))
