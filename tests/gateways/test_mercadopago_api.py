"""Mercado Pago: queries and answers, and the story that the sandbox plays."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from mercadopago_factories import TOKEN, a_gateway
from specimen import NOW, response_of
from walking import Walk, assert_ends_as_told, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.mercadopago.objects import CHARGEBACKS, FAILURES, PAYMENT_STATUSES, REFUND_STATUSES
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.sandbox.simulators.mercadopago.objects import mercadopago_payment, mercadopago_refund
from tillkeeper.sandbox.simulators.mercadopago.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="123456")
ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="123456", refund_ref="77")
APPROVED_AT = datetime(2026, 10, 5, 11, 59, tzinfo=UTC)


def a_payment(**more):
    return mercadopago_payment("123456", 12900, "BRL", "ORDER-1", **{"id": 123456} | more)


def a_refund(**more):
    return mercadopago_refund(77, "123456", 400, "BRL", **more)


def response(content, status=200):
    body = json.dumps(content, default=float).encode()
    return response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status)


def answer_to(payment, query=PAYMENT):
    return a_gateway().read_response(query, response(payment), now=NOW).events


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/v1/payments/123456"),
        (
            Query(about="payment", order_ref="O&R 1"),
            "/v1/payments/search?external_reference=O%26R+1&sort=date_created&criteria=desc&limit=100",
        ),
        (REFUND, "/v1/payments/123456"),
    ],
)
def test_where_each_query_goes(query, path):
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://api.mercadopago.com{path}")
    assert call.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "query",
    [
        Query(about="refund", order_ref="ORDER-1", refund_ref="77"),
        Query(about="payment", payment_ref="a/b"),
        Query(about="payment"),
    ],
)
def test_what_cannot_be_queried(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "kind"), PAYMENT_STATUSES.items())
def test_what_each_status_says(status, kind):
    event = answer_to(
        a_payment(status=status, transaction_amount=100.5, date_last_updated="2026-10-05T07:59:20.000-04:00")
    )[0]
    assert (event.kind, event.amount, event.currency) == (kind, 10050, "BRL")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "123456", "credit_card")
    later = timedelta(seconds=0 if kind is Kind.PAYMENT_SUCCEEDED else 20)
    assert event.occurred_at == APPROVED_AT + later


def test_a_payment_without_times_is_dated_by_the_answer():
    (event,) = answer_to(a_payment(date_approved=None, date_last_updated=None))
    assert event.occurred_at == NOW - timedelta(seconds=3)


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        ("in_mediation", "pending", Kind.DISPUTE_OPENED),
        ("charged_back", "in_process", Kind.DISPUTE_OPENED),
        ("charged_back", None, Kind.DISPUTE_OPENED),
        *(("charged_back", detail, kind) for detail, kind in CHARGEBACKS.items()),
    ],
)
def test_a_chargeback_is_a_dispute_beside_the_payment(status, detail, kind):
    paid, dispute = answer_to(a_payment(status=status, status_detail=detail))
    assert (paid.kind, dispute.kind) == (Kind.PAYMENT_SUCCEEDED, kind)
    assert (dispute.dispute_ref, dispute.payment_ref, dispute.amount) == ("chargeback-123456", "123456", 12900)


def test_refunds_come_each_and_as_a_total():
    payment = a_payment(transaction_amount_refunded=4, refunds=[a_refund(), a_refund(id=78, status="in_process")])
    _, total, one, other = answer_to(payment)
    assert (total.kind, total.total, total.amount) == (Kind.REFUND_SUCCEEDED, 400, None)
    assert (one.kind, one.refund_ref, one.amount, one.payment_ref) == (Kind.REFUND_SUCCEEDED, "77", 400, "123456")
    assert (other.kind, other.refund_ref) == (Kind.REFUND_PENDING, "78")


def test_what_was_refunded_went_back_whether_or_not_there_is_a_sum():
    for more in ({"transaction_amount_refunded": 129}, {"transaction_amount_refunded": None}, {}):
        assert answer_to(a_payment(status="refunded", refunds=None, **more))[1].total == 12900


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_a_refund_is_found_in_its_payment(status, kind):
    payment = a_payment(refunds=[a_refund(id=76), a_refund(status=status)])
    (event,) = answer_to(payment, REFUND)
    assert (event.kind, event.refund_ref, event.currency) == (kind, "77", "BRL")


def test_a_refund_that_its_payment_does_not_know_is_not_found():
    assert not a_gateway().read_response(REFUND, response(a_payment()), now=NOW).found


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [(100.5, "BRL", 10050), (0.29, "BRL", 29), (1234, "CLP", 1234), (19.9, "MXN", 1990), (Decimal(7), "ARS", 700)],
)
def test_amounts_are_numbers_of_major_units(amount, currency, minor):
    assert answer_to(a_payment(transaction_amount=amount, currency_id=currency))[0].amount == minor


@pytest.mark.parametrize(("detail", "failure"), FAILURES.items())
def test_a_detail_has_its_class(detail, failure):
    for written in (detail, f"cc_rejected_{detail}"):
        event = answer_to(a_payment(status="rejected", status_detail=written))[0]
        assert (event.failure, event.failure_code) == (failure, written)


def test_whatever_was_filled_in_badly_is_the_payers_card():
    event = answer_to(a_payment(status="rejected", status_detail="cc_rejected_bad_filled_card_holder"))[0]
    assert event.failure is FailureClass.CARD_EXPIRED_OR_INVALID


@pytest.mark.parametrize("detail", ["something_new", None])
def test_an_unknown_detail_is_kept(detail):
    event = answer_to(a_payment(status="cancelled", status_detail=detail))[0]
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, detail)


def test_a_search_finds_each_attempt_of_its_order_and_none_of_others():
    other = a_payment(id=9, external_reference="ORDER-10")
    found = {"results": [a_payment(), a_payment(id=7, status="rejected", date_approved=None), other]}
    events = answer_to(found, ORDER)
    assert [(event.payment_ref, event.kind) for event in events] == [
        ("123456", Kind.PAYMENT_SUCCEEDED),
        ("7", Kind.PAYMENT_FAILED),
    ]
    assert not a_gateway().read_response(ORDER, response({"results": [other]}), now=NOW).found


def test_a_search_may_lag_so_it_counts_as_of_each_payments_last_change_and_what_is_not_paid_is_queried():
    found = {"results": [a_payment(), a_payment(id=7, status="pending", date_approved=None)]}
    answer = a_gateway().read_response(ORDER, response(found), now=NOW)
    assert answer.also == (Query(about="payment", order_ref="ORDER-1", payment_ref="7"),)
    assert [event.as_of for event in answer.events] == [event.occurred_at for event in answer.events]


@pytest.mark.parametrize("status", ["rejected", "cancelled"])
def test_what_had_been_approved_and_is_not_any_more_is_taken_back(status):
    failed, reverse = answer_to(a_payment(status=status))
    assert failed.kind in {Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED}
    assert (reverse.kind, reverse.failure) == (Kind.PAYMENT_REVERSED, None)
    assert len(answer_to(a_payment(status=status, date_approved=None))) == 1


@pytest.mark.parametrize(
    ("payment", "kinds", "word"),
    [
        (a_payment(status="half"), [], ("payment.status", "half")),
        (a_payment(currency_id="XXX"), [], ("currency", "XXX")),
        (a_payment(refunds=[a_refund(status="half")]), [Kind.PAYMENT_SUCCEEDED], ("refund.status", "half")),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(payment, kinds, word):
    with unknown_words() as words:
        assert [each.kind for each in answer_to(payment)] == kinds
    assert [(each.field, each.word) for each in words] == [word]


@pytest.mark.parametrize("ref", [None, "", True, 1.5, [], {}])
def test_a_payment_that_names_no_order_is_of_the_one_in_the_query(ref):
    assert answer_to(a_payment(external_reference=ref))[0].order_ref == "ORDER-1"


def test_an_order_number_may_be_a_number():
    assert answer_to(a_payment(external_reference=1001))[0].order_ref == "1001"
    query = Query(about="payment", order_ref="1001")
    assert answer_to({"results": [a_payment(external_reference=1001), a_payment()]}, query)[0].order_ref == "1001"


@pytest.mark.parametrize(
    "content",
    [
        a_payment(id=123457),
        a_payment(transaction_amount="x"),
        a_payment(transaction_amount=-1),
        a_payment(transaction_amount=1.001),
        a_payment(date_approved="yesterday"),
        a_payment(refunds={}),
        a_payment(refunds=[a_refund(date_created=None)]),
        [],
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(content):
    with pytest.raises(BadPayload):
        answer_to(content)


@pytest.mark.parametrize("content", [{}, {"results": None}, {"results": {}}])
def test_a_search_without_a_list_is_refused(content):
    with pytest.raises(BadPayload):
        answer_to(content, ORDER)


@pytest.mark.parametrize("error", ["not_found", "resource not found"])
def test_not_found_is_an_answer(error):
    answer = a_gateway().read_response(PAYMENT, response({"error": error, "status": 404}, 404), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (401, {"error": "unauthorized"}, AccessDenied),
        (403, {}, AccessDenied),
        (423, {}, Unavailable),
        (429, {}, Unavailable),
        (500, {"error": "internal_error"}, Unavailable),
        (404, {}, BadPayload),  # somebody's proxy
        (404, {"error": "Odd Words"}, BadPayload),
        (400, {"error": "bad_request"}, BadPayload),
        (400, {"error": 7}, BadPayload),
    ],
)
def test_an_error_says_whose_it_is(status, content, refusal):
    with pytest.raises(refusal):
        a_gateway().read_response(PAYMENT, response(content, status), now=NOW)


# --- the play ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def walk():
    return Walk(SIMULATOR)


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
@pytest.mark.parametrize("currency", SIMULATOR.currencies)
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, currency):
    story = story_of(SIMULATOR, template, currency=currency)
    events, at_the_end = list(walk.told_by(story)), walk.asked_at_the_end(story)
    assert_ends_as_told(story, events)
    assert_ends_as_told(story, at_the_end)
    assert any(each.kind.is_dispute for each in at_the_end) is ("charge" in template.name)


def test_the_simulated_api_keeps_to_its_own(walk):
    story = story_of(
        SIMULATOR,
        next(template for template in SIMULATOR.templates if template.name == "a part given back"),
        currency="BRL",
    )
    with pytest.raises(AccessDenied):
        walk.answer(story, PAYMENT, authorization="Bearer of_another")
    for query in (PAYMENT, ORDER, REFUND):
        assert not walk.answer(story, query).found
    ours = {"payment_ref": story.payment_ref, "refund_ref": story.events[-1].refund_ref}
    assert [event.kind for event in walk.answer(story, Query(about="refund", **ours)).events] == [Kind.REFUND_SUCCEEDED]
    by_order = Query(about="payment", order_ref=story.order_ref)
    assert [event.event_id for event in walk.answer(story, by_order).events] == [
        each.event_id for each in walk.asked_at_the_end(story)
    ]
    assert not walk.answer(story, by_order, as_of=story.started_at).found
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    elsewhere = msgspec.structs.replace(put_of(walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")), path="/v2")
    assert api.respond(elsewhere, now=NOW, as_of=NOW).status == 404
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, elsewhere), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)
