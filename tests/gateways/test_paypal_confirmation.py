"""One attempt's order, authorizations and captures, and what PayPal is asked about before it counts."""

from datetime import timedelta

import msgspec
import pytest
from paypal_samples import (
    CAPTURE_ID,
    DISPUTE_TYPES,
    ORDER,
    ORDER_ID,
    PAYMENT,
    PAYMENTS,
    REFUND,
    REFUND_TYPES,
    SALE,
    SALE_REFUND,
    SALES,
    a_capture,
    a_dispute,
    a_gateway,
    a_refund,
    a_sale,
    a_sale_refund,
    an_order,
    answer_to,
    event_of,
    fetched,
    paid_order,
    parsed,
    signed,
)
from specimen import NOW, request_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.paypal.codes import FAILURES, OUTCOMES
from tillkeeper.gateways.paypal.objects import failure_of
from tillkeeper.gateways.paypal.webhook import CONFIRMED, TYPES
from tillkeeper.sandbox.simulators.paypal.objects import paypal_dispute
from tillkeeper.sandbox.simulators.paypal.signing import paypal_body

APPROVED_FIRST = ("CHECKOUT.ORDER.APPROVED", an_order())
AUTHORIZED_THEN = ("PAYMENT.AUTHORIZATION.CREATED", a_capture() | {"id": "3AUT1"})
OF_BOTH = {"related_ids": {"order_id": ORDER_ID, "authorization_id": "3AUT1"}}


def under_way_after(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    # twice the amount is due, so that what is under way shows
    order = Order(order_ref="ORDER-1", amount=25800, currency="EUR", accounts=frozenset({"paypal-main"}))
    return {
        ref
        for (_, ref), payment in facts.payments.items()
        if payment.status in {ObjectStatus.PENDING, ObjectStatus.AUTHORIZED}
    }, summarize(order, facts)


def test_nothing_stays_under_way_beside_a_finished_capture_whichever_comes_first():
    capture = a_capture(supplementary_data=OF_BOTH)
    before = [event for told in (APPROVED_FIRST, AUTHORIZED_THEN) for event in parsed(*told)]
    webhooks = parsed("PAYMENT.CAPTURE.COMPLETED", capture)
    answers = answer_to(PAYMENT, capture).events
    for told in (webhooks, answers):
        for events in ((*before, *told), (*told, *before)):
            under_way, summary = under_way_after(*events)
            assert (under_way, summary.status, summary.captured) == (set(), Status.PARTIALLY_PAID, 12900)
    listed = paid_order(capture, authorizations=[a_capture(status="CAPTURED") | {"id": "3AUT1"}])
    assert under_way_after(*before, *answer_to(ORDER, listed).events)[0] == set()


def test_a_rest_that_can_still_be_captured_stays_authorized():
    capture = a_capture(5000, final_capture=False, supplementary_data=OF_BOTH)
    authorized = parsed(*AUTHORIZED_THEN)
    answer = answer_to(PAYMENT, capture)
    assert under_way_after(*authorized, *answer.events)[0] == {"authorization-3AUT1"}
    assert answer.also == (Query(about="payment", order_ref="ORDER-1", payment_ref="authorization-3AUT1"),)
    asked = Query(about="payment", order_ref="ORDER-1", payment_ref="authorization-3AUT1")
    for status, left, also in (
        ("PARTIALLY_CAPTURED", {"authorization-3AUT1"}, (ORDER,)),
        ("CAPTURED", set(), (ORDER,)),
        ("VOIDED", set(), ()),
    ):
        rest = a_capture(status=status) | {"id": "3AUT1", "supplementary_data": {"related_ids": {"order_id": ORDER_ID}}}
        told = answer_to(asked, rest)
        later = [msgspec.structs.replace(event, as_of=NOW + timedelta(hours=1)) for event in told.events]
        assert under_way_after(*authorized, *answer.events, *later)[0] == left
        assert told.also == also


def test_a_capture_that_failed_leaves_its_order_to_be_paid_otherwise():
    approved = parsed(*APPROVED_FIRST)
    declined = parsed("PAYMENT.CAPTURE.DECLINED", a_capture(status="DECLINED"))
    assert under_way_after(*approved, *declined)[0] == {f"order-{ORDER_ID}"}


def test_a_capture_that_names_paypals_order_alone_has_that_order_queried():
    capture = a_capture(custom_id=None)
    events, asked = fetched("PAYMENT.CAPTURE.COMPLETED", capture)
    assert (events, asked) == (
        (),
        (
            Query(about="payment", payment_ref=CAPTURE_ID),
            Query(about="payment", payment_ref=f"order-{ORDER_ID}"),
        ),
    )
    for odd in ({"related_ids": {"order_id": "a/b"}}, {"related_ids": []}, {}, None):
        assert len(fetched("PAYMENT.CAPTURE.COMPLETED", capture | {"supplementary_data": odd})[1]) == 1


def test_what_a_forged_body_could_say_of_an_order_is_not_believed():
    events, _ = fetched("PAYMENT.CAPTURE.PENDING", a_capture(status="PENDING"))
    assert [event.payment_ref for event in events] == [CAPTURE_ID]


def test_an_event_without_meaning_is_refused():
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", a_capture(), event_id="e" * 300)
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", None)


@pytest.mark.parametrize(("code", "failure"), FAILURES.items())
def test_failures_by_table(code, failure):
    by_reason = a_capture(status_details={"reason": code})
    by_bank = a_capture(processor_response={"response_code": code})
    for resource in (by_reason, by_bank):
        event = event_of("PAYMENT.CAPTURE.DECLINED", resource)
        assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("bank", "reason", "failure", "code"),
    [
        ("5120", "DECLINED_BY_RISK_FRAUD_FILTERS", FailureClass.INSUFFICIENT_FUNDS, "5120"),
        ("PPXX", "DECLINED_BY_RISK_FRAUD_FILTERS", FailureClass.SUSPECTED_FRAUD, "DECLINED_BY_RISK_FRAUD_FILTERS"),
        ("PPXX", "OTHER", FailureClass.UNKNOWN, "PPXX"),
        (None, "OTHER", FailureClass.UNKNOWN, "OTHER"),
        (None, None, FailureClass.UNKNOWN, None),
    ],
)
def test_which_code_tells_why(bank, reason, failure, code):
    resource = {"processor_response": {"response_code": bank}, "status_details": {"reason": reason}}
    assert failure_of(resource) == (failure, code)
    assert failure_of({"reason_code": reason}) == failure_of({"status_details": {"reason": reason}})


def test_what_an_unproven_delivery_names():
    def named(event_type, resource):
        return a_gateway().claimed_references(request_of(({}, paypal_body(event_type, resource, event_id="e", at=NOW))))

    capture = named("PAYMENT.CAPTURE.COMPLETED", a_capture())
    assert (capture.payment_ref, capture.order_ref) == (CAPTURE_ID, "ORDER-1")
    assert named("PAYMENT.CAPTURE.REFUNDED", a_refund()).payment_ref == CAPTURE_ID
    assert named("PAYMENT.CAPTURE.COMPLETED", {}) is None
    assert named("BILLING.PLAN.CREATED", {}) is None
    assert named("PAYMENT.CAPTURE.COMPLETED", a_capture(id="/", custom_id="/")) is None


MONEY = {
    "CHECKOUT.ORDER.COMPLETED": (an_order(status="COMPLETED"), ORDER),
    "PAYMENT.CAPTURE.COMPLETED": (a_capture(), PAYMENT),
    "PAYMENT.CAPTURE.REFUNDED": (a_refund(), REFUND),
    "PAYMENT.REFUND.PENDING": (a_refund(status="PENDING"), REFUND),
    "PAYMENT.REFUND.FAILED": (a_refund(status="FAILED"), REFUND),
    "PAYMENT.SALE.COMPLETED": (a_sale(), SALE),
    "PAYMENT.SALE.REFUNDED": (a_sale_refund(), SALE_REFUND),
}


def test_whatever_says_success_or_refund_is_queried_before_it_counts():
    told = {name for name in TYPES if name in SALES | PAYMENTS and (SALES | PAYMENTS)[name] is Kind.PAYMENT_SUCCEEDED}
    assert CONFIRMED == set(MONEY) == told | {*REFUND_TYPES, "PAYMENT.SALE.REFUNDED", "CHECKOUT.ORDER.COMPLETED"}


@pytest.mark.parametrize(("event_type", "told"), MONEY.items())
def test_money_is_queried_before_it_counts(event_type, told):
    resource, query = told
    events, (asked,) = fetched(event_type, resource)
    assert events == ()
    assert (asked.about, asked.payment_ref, asked.refund_ref) == (
        query.about,
        query.payment_ref,
        query.refund_ref,
    )
    assert a_gateway().query_request(asked, now=NOW, nonce="n")


@pytest.mark.parametrize("settings", [{"confirm_by_query": False}, {"client_id": None, "client_secret": None}])
def test_nothing_is_queried_where_it_is_off_or_nobody_can(settings):
    gateway = a_gateway(**{"confirm_by_query": True} | settings)
    for event_type, (resource, _) in MONEY.items():
        events, queries = fetched(event_type, resource, gateway)
        assert events
        assert queries == ()


@pytest.mark.parametrize(
    ("event_type", "resource", "ref"),
    [
        ("PAYMENT.SALE.REFUNDED", a_sale_refund(sale_id=None), "sale-1REF1"),
        ("PAYMENT.CAPTURE.REFUNDED", a_refund(links=[]), REFUND.refund_ref),
    ],
)
def test_a_refund_that_names_no_payment_is_queried_wherever_somebody_can(event_type, resource, ref):
    (told,), (query,) = fetched(event_type, resource, a_gateway(confirm_by_query=False))
    assert (told.payment_ref, told.refund_ref, query.refund_ref) == (None, ref, ref)
    nobody = a_gateway(confirm_by_query=False, client_id=None, client_secret=None)
    assert fetched(event_type, resource, nobody)[1] == ()


WON = [code for code, kind in OUTCOMES.items() if kind is Kind.DISPUTE_WON]


@pytest.mark.parametrize("event_type", DISPUTE_TYPES)
@pytest.mark.parametrize("code", WON)
def test_a_dispute_is_won_when_paypal_says_so_itself(event_type, code):
    won = a_dispute(status="RESOLVED", dispute_outcome={"outcome_code": code})
    forged = won | {"update_time": "9999-01-01T00:00:00Z"}
    events, (asked,) = fetched(event_type, forged)
    assert events == ()
    call = a_gateway().query_request(asked, now=NOW, nonce="n")
    assert call.url == "https://api-m.sandbox.paypal.com/v1/customer/disputes/PP-D-1"
    (event,) = answer_to(asked, won).events
    assert (event.kind, event.dispute_ref, event.payment_ref) == (Kind.DISPUTE_WON, "PP-D-1", CAPTURE_ID)
    assert answer_to(asked, a_dispute()).events[0].kind is Kind.DISPUTE_OPENED
    with pytest.raises(BadPayload):
        answer_to(asked, won | {"dispute_id": "PP-D-2"})
    assert not answer_to(asked, {"name": "RESOURCE_NOT_FOUND"}, 404).found


@pytest.mark.parametrize("code", [None, *(code for code in OUTCOMES if code not in WON)])
def test_a_dispute_that_is_open_or_lost_is_told_at_once(code):
    told = {} if code is None else {"status": "RESOLVED", "dispute_outcome": {"outcome_code": code}}
    events, queries = fetched("CUSTOMER.DISPUTE.UPDATED", a_dispute(**told))
    assert (len(events), queries) == (1, ())


@pytest.mark.parametrize(
    ("event_type", "resource"), [("CUSTOMER.DISPUTE.CREATED", a_dispute()), ("PAYMENT.CAPTURE.PENDING", a_capture())]
)
def test_what_happened_in_a_time_to_come_did_not(event_type, resource):
    written = {days: (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (1, 2)}
    assert fetched(event_type, resource | {"update_time": written[1]})[0]
    with pytest.raises(BadPayload, match="to come"):
        fetched(event_type, resource | {"update_time": written[2]})


def test_what_moves_no_money_counts_as_it_is():
    events, queries = fetched("PAYMENT.CAPTURE.PENDING", a_capture())
    assert (len(events), queries) == (1, ())
    assert fetched("BILLING.PLAN.CREATED", {}) == ((), ())


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("PAYMENT.CAPTURE.COMPLETED", a_capture(id="a/b")),
        ("PAYMENT.CAPTURE.COMPLETED", a_capture(id="A.B")),
        ("PAYMENT.CAPTURE.REFUNDED", a_refund(id="a/b")),
        (
            "CUSTOMER.DISPUTE.RESOLVED",
            paypal_dispute("a/b", CAPTURE_ID, 1, "EUR", "ORDER-1", at=NOW)
            | {"status": "RESOLVED", "dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"}},
        ),
    ],
)
def test_what_cannot_be_queried_is_refused(event_type, resource):
    gateway = a_gateway(confirm_by_query=True)
    verified = gateway.verify(signed(paypal_body(event_type, resource, event_id="WH-1", at=NOW)), NOW)
    with pytest.raises(BadPayload):
        gateway.queries_for(verified)
