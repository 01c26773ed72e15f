"""GoCardless: what its answers say of payments and refunds, and the story that the sandbox plays."""

from datetime import timedelta
from operator import attrgetter

import gocardless_pro
import pytest
from gocardless_factories import PAYMENT, REFUND, TOKEN, a_gateway, a_history, an_event, answered, delivered, response
from specimen import NOW, Response
from walking import Walk, assert_ends_as_told, facts_after, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.gocardless.objects import CAUSES, PAYMENT_STATUSES, REFUND_STATUSES
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.gocardless.objects import gocardless_refund
from tillkeeper.sandbox.simulators.gocardless.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

REPORTED_AT = NOW - timedelta(seconds=3)
EARLIER = NOW - timedelta(days=3)


# --- what a payment's history says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cause", "failure"), sorted(CAUSES.items()))
def test_each_cause_has_its_class(cause, failure):
    (event,) = answered(an_event("submitted", at=EARLIER), an_event("failed", cause=cause), status="failed")
    assert (event.kind, event.failure, event.failure_code) == (Kind.PAYMENT_FAILED, failure, cause)
    assert event.occurred_at == NOW


@pytest.mark.parametrize("cause", ["other", None])
def test_a_cause_that_nobody_knows_is_unknown(cause):
    (event,) = answered(an_event("failed", cause=cause), status="failed")
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, cause)


@pytest.mark.parametrize("status", ["failed", "pending_submission", "submitted"])
def test_a_failure_that_is_to_be_collected_again_is_on_its_way(status):
    (event,) = answered(
        an_event("submitted", at=EARLIER),
        an_event("failed", cause="insufficient_funds", will_attempt_retry=True),
        status=status,
    )
    assert (event.kind, event.failure, event.occurred_at) == (Kind.PAYMENT_PENDING, None, NOW)


def test_a_failure_after_the_last_collection_is_one():
    again = an_event("failed", at=EARLIER, cause="insufficient_funds", will_attempt_retry=True)
    (event,) = answered(again, an_event("failed", cause="bank_account_closed"), status="failed")
    assert (event.kind, event.failure) == (Kind.PAYMENT_FAILED, FailureClass.ACCOUNT_FROZEN)
    (event,) = answered(an_event("resubmission_requested"), status="failed")
    assert (event.kind, event.failure, event.occurred_at) == (Kind.PAYMENT_FAILED, FailureClass.UNKNOWN, REPORTED_AT)


def test_a_success_tells_amount_order_and_time_of_the_confirmation():
    (event,) = answered(an_event("submitted", at=EARLIER), an_event("confirmed", at=EARLIER), an_event("paid_out"))
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "GBP")
    assert (event.order_ref, event.payment_ref, event.occurred_at) == ("ORDER-1", "PM1", EARLIER)
    assert event.method == "sepa_core"


LATE = (an_event("confirmed", at=EARLIER), an_event("failed", cause="insufficient_funds"))


def status_of(*events):
    order = Order(order_ref="ORDER-1", amount=12900, currency="GBP", accounts=frozenset({"debits"}))
    return summarize(order, facts_after(events)).status


def test_a_late_failure_takes_the_success_back():
    events = answered(*LATE, status="failed")
    assert [(event.kind, event.occurred_at, event.capture_ref) for event in events] == [
        (Kind.PAYMENT_SUCCEEDED, EARLIER, None),
        (Kind.PAYMENT_REVERSED, NOW, None),
        (Kind.PAYMENT_FAILED, NOW, None),
    ]
    assert status_of(*events) is Status.FAILED
    settled = answered(*LATE, an_event("late_failure_settled", at=NOW + timedelta(days=2)), status="failed")
    assert settled == events
    assert delivered(an_event("late_failure_settled")) == ((), (PAYMENT,))


def test_a_late_failure_that_is_collected_again_is_on_its_way_and_then_counts_again():
    again = an_event("failed", at=EARLIER, will_attempt_retry=True)
    confirmed = an_event("confirmed", at=EARLIER - timedelta(days=1))
    before = answered(confirmed, status="confirmed")
    meanwhile = answered(confirmed, again, status="failed")
    assert status_of(*before, *meanwhile) is Status.PROCESSING
    settled = an_event("late_failure_settled", at=NOW + timedelta(days=1))
    for later in ((), (settled,)):
        events = answered(confirmed, again, an_event("confirmed"), *later, status="confirmed")
        assert [(event.kind, event.occurred_at) for event in events] == [
            (Kind.PAYMENT_SUCCEEDED, NOW),
            (Kind.PAYMENT_REVERSED, EARLIER),
        ]
        assert status_of(*before, *meanwhile, *events) is Status.PAID
        assert status_of(*events, *meanwhile, *before) is Status.PAID


def test_a_collection_within_the_second_of_the_failure_before_it_counts():
    again = an_event("failed", at=EARLIER, will_attempt_retry=True)
    confirmed = an_event("confirmed", at=EARLIER - timedelta(days=1))
    events = answered(confirmed, again, an_event("confirmed", at=EARLIER), status="confirmed")
    assert [(event.kind, event.occurred_at) for event in events] == [
        (Kind.PAYMENT_SUCCEEDED, EARLIER + timedelta(seconds=1)),
        (Kind.PAYMENT_REVERSED, EARLIER),
    ]
    assert status_of(*events) is Status.PAID


def test_a_late_failure_whose_own_event_is_not_in_the_list_is_told_by_its_settlement():
    events = answered(an_event("confirmed", at=EARLIER), an_event("late_failure_settled"), status="failed")
    assert [(event.kind, event.occurred_at) for event in events][:2] == [
        (Kind.PAYMENT_SUCCEEDED, EARLIER),
        (Kind.PAYMENT_REVERSED, NOW),
    ]
    assert events[2].kind is Kind.PAYMENT_FAILED
    assert answered(an_event("late_failure_settled"), status="failed")[0].kind is Kind.PAYMENT_FAILED


def test_a_success_that_is_not_in_the_list_is_told_by_the_status():
    events = answered(*LATE, status="paid_out")
    assert [(event.kind, event.occurred_at) for event in events] == [
        (Kind.PAYMENT_SUCCEEDED, REPORTED_AT),
        (Kind.PAYMENT_REVERSED, NOW),
    ]


def test_a_failure_before_any_success_is_no_dispute():
    failed = an_event("failed", at=EARLIER, will_attempt_retry=True)
    (event,) = answered(failed, an_event("confirmed"))
    assert event.kind is Kind.PAYMENT_SUCCEEDED


def test_a_chargeback_is_a_dispute_until_it_is_cancelled():
    confirmed, charged = an_event("confirmed", at=EARLIER), an_event("charged_back", at=EARLIER)
    assert [event.kind for event in answered(confirmed, charged, status="charged_back")] == [
        Kind.PAYMENT_SUCCEEDED,
        Kind.DISPUTE_OPENED,
    ]
    cancelled = an_event("chargeback_cancelled")
    assert answered(confirmed, charged, cancelled, status="paid_out")[1].kind is Kind.DISPUTE_WON


@pytest.mark.parametrize(("status", "kind"), sorted(PAYMENT_STATUSES.items()))
def test_the_status_says_what_is_not_in_the_list(status, kind):
    first, *disputes = answered(an_event("surcharge_fee_debited"), status=status)
    assert (first.kind, first.occurred_at) == (kind, REPORTED_AT)
    assert [dispute.dispute_ref for dispute in disputes] == (["PM1:chargeback"] if status == "charged_back" else [])


def test_a_late_failure_that_is_not_in_the_list_is_told_by_the_status():
    _, undone, failed = answered(an_event("confirmed", at=EARLIER), status="failed")
    assert (undone.kind, undone.occurred_at) == (Kind.PAYMENT_REVERSED, REPORTED_AT)
    assert (failed.kind, failed.failure) == (Kind.PAYMENT_FAILED, FailureClass.UNKNOWN)


def test_what_was_given_back_is_a_running_total():
    _, total = answered(an_event("confirmed"), amount_refunded="400")  # the reference writes numbers as text too
    assert (total.kind, total.total, total.amount, total.currency) == (Kind.REFUND_SUCCEEDED, 400, None, "GBP")


def test_an_order_that_the_payment_does_not_name_is_the_queries():
    query = Query(about="payment", order_ref="ORDER-9", payment_ref="PM1")
    history = a_history(an_event("confirmed"), metadata={})
    (event,) = a_gateway().read_response(query, response(history), now=NOW).events
    assert event.order_ref == "ORDER-9"


@pytest.mark.parametrize(
    "history",
    [
        a_history(an_event("confirmed", ref="PM2")),
        a_history(an_event("confirmed"), id="PM2"),
        a_history(an_event("confirmed"), amount=-1),
        a_history(an_event("confirmed"), amount=None),
        a_history(an_event("confirmed")) | {"linked": {}},
        a_history(an_event("confirmed")) | {"linked": {"payments": []}},
        {"events": [an_event("confirmed")]},
        [],
    ],
)
def test_a_history_that_cannot_be_is_refused(history):
    with pytest.raises(BadPayload):
        a_gateway().read_response(PAYMENT, response(history), now=NOW)


# --- refunds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), sorted(REFUND_STATUSES.items()))
def test_a_refund_says_where_it_stands(status, kind):
    refund = gocardless_refund("RF1", "PM1", 400, "EUR", status=status)
    (event,) = a_gateway().read_response(REFUND, response({"refunds": refund}), now=NOW).events
    assert (event.kind, event.amount, event.currency) == (kind, 400, "EUR")
    assert (event.payment_ref, event.refund_ref, event.order_ref) == ("PM1", "RF1", None)
    pending = kind is Kind.REFUND_PENDING
    assert event.occurred_at == (REPORTED_AT if not pending else NOW.replace(day=3, hour=9))
    assert event.failure_code == (status if kind is Kind.REFUND_FAILED else None)


def test_a_refund_may_name_the_order():
    refund = gocardless_refund("RF1", "PM1", 400, "EUR", metadata={"order_id": "ORDER-1"})
    (event,) = a_gateway().read_response(REFUND, response({"refunds": refund}), now=NOW).events
    assert event.order_ref == "ORDER-1"


def test_a_refund_of_a_mandate_is_known_and_changes_nothing():
    refund = gocardless_refund("RF1", "PM1", 400, "EUR", links={"mandate": "MD1"})
    answer = a_gateway().read_response(REFUND, response({"refunds": refund}), now=NOW)
    assert (answer.found, answer.events) == (True, ())


@pytest.mark.parametrize("wrong", [{"id": "RF2"}, {"links": {}}])
def test_a_refund_that_cannot_be_is_refused(wrong):
    refund = gocardless_refund("RF1", "PM1", 400, "EUR") | wrong
    with pytest.raises(BadPayload):
        a_gateway().read_response(REFUND, response({"refunds": refund}), now=NOW)


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "officially"),
    [
        (
            PAYMENT,
            lambda client: client.events.list(
                {"resource_type": "payments", "payment": "PM1", "include": "payment", "limit": 500}
            ),
        ),
        (REFUND, lambda client: client.refunds.get("RF1")),
    ],
    ids=["payment", "refund"],
)
def test_the_official_package_queries_the_same(query, officially, monkeypatch):
    requests = []

    class Stop(Exception):
        pass

    def send(_session, request, **_):
        requests.append(request)
        raise Stop

    monkeypatch.setattr("requests.Session.send", send)
    with pytest.raises(Stop):
        officially(gocardless_pro.Client(access_token=TOKEN, environment="live"))
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == (requests[0].method, requests[0].url)
    assert call.headers["Authorization"] == requests[0].headers["Authorization"]
    assert call.headers["GoCardless-Version"] == requests[0].headers["GoCardless-Version"]


def test_what_has_no_reference_cannot_be_queried():
    for query in (Query(about="payment", order_ref="ORDER-1"), Query(about="refund", payment_ref="PM1")):
        with pytest.raises(CannotQuery):
            a_gateway().query_request(query, now=NOW, nonce="n")


def error(status):
    return {"error": {"message": "No.", "type": "invalid_api_usage", "code": status, "errors": []}}


def test_what_gocardless_does_not_know_is_not_found():
    for query in (PAYMENT, REFUND):
        assert not a_gateway().read_response(query, response(error(404), 404), now=NOW).found
    assert not a_gateway().read_response(PAYMENT, response({"events": [], "meta": {}}), now=NOW).found


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (400, BadPayload),
    ],
)
def test_an_error_says_whose_it_is(status, refusal):
    with pytest.raises(refusal):
        a_gateway().read_response(PAYMENT, response(error(status), status), now=NOW)


# --- the play ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def walk():
    return Walk(SIMULATOR)


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=attrgetter("name"))
@pytest.mark.parametrize("gap_s", [0, 30])
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, gap_s):
    story = story_of(SIMULATOR, template, gap_s=gap_s)
    events = list(walk.told_by(story))
    at_the_end = walk.asked_at_the_end(story)
    assert_ends_as_told(story, [*events, *at_the_end])
    if gap_s:  # within one second the pending refund and its outcome are ordered by rank alone
        assert_ends_as_told(story, events)
    if not any(say.event_type.startswith("refunds.") for say in template.events):
        assert_ends_as_told(story, at_the_end)
    assert any(event.kind.is_dispute for event in at_the_end) is any(
        "charge" in event.event_type for event in story.events
    )


def test_the_simulated_api_keeps_to_its_own(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0])
    with pytest.raises(AccessDenied):
        walk.answer(story, PAYMENT, authorization="Bearer of_another")
    with pytest.raises(BadPayload):
        walk.answer(story, PAYMENT, **{"gocardless-version": ""})
    for query in (PAYMENT, REFUND):
        assert not walk.answer(story, query).found
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    call = walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")
    for status in (429, 500):
        broken = api.signed(api.error_response(status, put_of(call)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=broken.status, headers={}, body=broken.body), now=NOW)
