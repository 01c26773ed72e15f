"""Each field of a fact is in the event that it becomes, whether the fact is of the common sort or has rare fields."""

import msgspec
import pytest
from specimen import NOW

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fact import Fact, webhook_event

COMMON = Fact(
    kind=Kind.PAYMENT_SUCCEEDED, payment_ref="pi_1", order_ref="ORDER-1", amount=1, currency="CNY", method="card"
)
RARE = {
    "capture_ref": "capture",
    "refund_ref": "refund",
    "dispute_ref": "dispute",
    "discount": 0,
    "on_top": 0,
    "released": 0,
    "may_be_release": True,
    "has_refunds": True,
    "failure": FailureClass.UNKNOWN,
    "failure_code": "declined",
    "as_of": NOW,
}
TOTAL = {"kind": Kind.REFUND_SUCCEEDED, "total": 0}


def event_of(fact):
    return webhook_event(fact, account="stripe-main", event_id="evt_1", reported_at=NOW)


@pytest.mark.parametrize("given", [{}, RARE, TOTAL, *({name: value} for name, value in RARE.items())], ids=str)
def test_every_field_that_both_have_is_the_same(given):
    fact = msgspec.structs.replace(COMMON, **given)
    event = event_of(fact)
    for field in msgspec.structs.fields(PaymentEvent):
        if field.name in Fact.__struct_fields__ and field.name != "occurred_at":
            assert getattr(event, field.name) == getattr(fact, field.name), field.name
    assert (event.account, event.event_id, event.occurred_at) == ("stripe-main", "evt_1", NOW)


def test_each_field_of_a_fact_is_common_or_tried_as_a_rare_one():
    common = {name for name in Fact.__struct_fields__ if getattr(COMMON, name) not in {None, False, ""}}
    assert common | set(RARE) | {"total", "occurred_at", "part"} == set(Fact.__struct_fields__)


def test_a_contact_in_a_failure_code_is_masked():
    event = event_of(msgspec.structs.replace(COMMON, failure_code="tell zhang@example.com"))
    assert "zhang@example.com" not in event.failure_code
