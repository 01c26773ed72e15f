"""Square: the official package verifies what we take and asks as we ask; every status by table."""

import json
from datetime import timedelta
from typing import get_args

import httpx
import pytest
from pydantic import ValidationError
from simulated_stories import SimulatedStory, broken_answers, impostor_of, with_amount_raised
from specimen import NOW, request_of, response_of, with_header
from square import Square as OfficialSquare
from square.types.error_code import ErrorCode
from square.utils.webhooks_helper import verify_signature

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.square.api import API_VERSION
from tillkeeper.gateways.square.gateway import Square
from tillkeeper.gateways.square.objects import DISPUTE_STATES, FAILURES, PAYMENT_STATUSES, REFUND_STATUSES, TYPES
from tillkeeper.gateways.square.settings import SquareSettings
from tillkeeper.sandbox.simulators.square.objects import square_dispute, square_payment, square_refund
from tillkeeper.sandbox.simulators.square.signing import square_body, square_signed
from tillkeeper.sandbox.simulators.square.simulator import SIMULATOR

KEY = "Ibxx_5AKakO-3qeNVR61Dw"
OLDER = "older_5AKakO-3qeNVR61Dw"
URL = "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="sqp1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="sqp1", refund_ref="ref1")
WRITTEN = NOW.strftime("%Y-%m-%dT%H:%M:%S.412Z")


def a_gateway(**settings):
    base = {"gateway": "square", "signature_keys": [KEY], "notification_url": URL, "access_token": "EAAAtoken"}
    return Square("square-main", SquareSettings.model_validate(base | settings))


def a_payment(**more):
    return square_payment("sqp1", 12900, "USD", "ORDER-1", NOW, **{"updated_at": WRITTEN} | more)


def a_refund(**more):
    return square_refund("ref1", "sqp1", 400, "USD", **{"status": "COMPLETED", "at": NOW} | more)


def a_dispute(**more):
    return square_dispute("dis1", "sqp1", 12900, "USD", **{"state": "EVIDENCE_REQUIRED", "at": NOW} | more)


def events_of(event_type, name, subject, gateway=None, event_id="evt-1"):
    gateway = gateway or a_gateway()
    body = square_body(event_type, name, subject, event_id=event_id, at=NOW)
    return gateway.parse(gateway.verify(request_of(square_signed(KEY, URL, body)), NOW))


def event_of(event_type, name, subject):
    (event,) = events_of(event_type, name, subject)
    return event


def answer_to(query, content, status=200, headers=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return a_gateway().read_response(query, response_of((headers or {}, body), status), now=NOW)


@pytest.mark.parametrize(("merchant_id", "count"), [(None, 1), ("MLEFBHHSJGVHD", 1), ("ANOTHER", 0)])
def test_events_of_another_merchant_change_nothing(merchant_id, count):
    gateway = a_gateway(merchant_id=merchant_id)
    assert len(events_of("payment.updated", "payment", a_payment(), gateway)) == count


# The signature.

TEST_NOTIFICATION = (
    b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification",'
    b'"event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z",'
    b'"data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}'
)
PUBLISHED = {"x-square-hmacsha256-signature": "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4="}


def test_the_published_vector_verifies_and_is_of_no_interest():
    verified = a_gateway().verify(request_of((PUBLISHED, TEST_NOTIFICATION)), NOW)
    assert verified.key == a_gateway().key_labels()[0]
    assert a_gateway().parse(verified) == ()


@pytest.mark.parametrize("body", [b"{}", '{"name":"Ada 王 é"}'.encode(), b"not JSON", b'{"a": 1.10}\n'])
def test_the_official_package_accepts_what_the_sandbox_signs_and_so_do_we(body):
    headers, _ = square_signed(KEY, URL, body)
    signature = headers["X-Square-Hmacsha256-Signature"]
    told = {"request_body": body.decode(), "signature_header": signature, "signature_key": KEY}
    assert verify_signature(**told, notification_url=URL)
    assert not verify_signature(**told, notification_url=URL + "/")
    assert a_gateway().verify(request_of((headers, body)), NOW).content == body


@pytest.mark.parametrize("url", [f"{URL}/", URL.replace("https", "http"), URL.upper(), f"{URL}?a=1"])
def test_the_url_is_signed_letter_for_letter(url):
    with pytest.raises(BadSignature) as caught:
        a_gateway().verify(request_of(square_signed(KEY, url, b"{}")), NOW)
    assert caught.value.step is VerificationStep.SIGNATURE


def test_either_of_two_keys_fits_and_is_named():
    gateway = a_gateway(signature_keys=[KEY, OLDER])
    assert gateway.verify(request_of(square_signed(KEY, URL, b"{}")), NOW).key == gateway.key_labels()[0]
    assert gateway.verify(request_of(square_signed(OLDER, URL, b"{}")), NOW).key == gateway.key_labels()[1]


def test_the_old_sha1_header_counts_for_nothing():
    headers, body = square_signed(KEY, URL, b"{}")
    request = with_header(request_of((headers, body)), "x-square-hmacsha256-signature", [])
    with pytest.raises(BadSignature) as caught:
        a_gateway().verify(with_header(request, "x-square-signature", ["anything"]), NOW)
    assert caught.value.step is VerificationStep.HEADER


@pytest.mark.parametrize("url", ["", "till.example/hook", "ftp://till.example", "https://till.example/a b"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(ValidationError):
        a_gateway(notification_url=url)


# Events.


@pytest.mark.parametrize(("status", "kind"), PAYMENT_STATUSES.items())
@pytest.mark.parametrize("event_type", ["payment.created", "payment.updated"])
def test_the_status_and_not_the_type_tells_what_happened_to_a_payment(event_type, status, kind):
    event = event_of(event_type, "payment", a_payment(status=status))
    assert (event.kind, event.event_id) == (kind, "evt-1")
    assert (event.payment_ref, event.order_ref) == ("sqp1", "ORDER-1")
    assert (event.amount, event.currency, event.method) == (12900, "USD", "CARD")


def test_the_objects_own_time_orders_events_and_not_the_delivery():
    older = event_of("payment.updated", "payment", a_payment(updated_at="2026-10-05T11:00:00.999Z"))
    assert older.occurred_at == NOW.replace(hour=11)


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_refunds_by_status(status, kind):
    event = event_of("refund.updated", "refund", a_refund(status=status))
    assert (event.kind, event.refund_ref, event.payment_ref, event.amount) == (kind, "ref1", "sqp1", 400)
    assert event.order_ref is None  # its order_id is the return's
    failed = kind is Kind.REFUND_FAILED
    assert event.failure_code == (status if failed else None)


@pytest.mark.parametrize(("state", "kind"), DISPUTE_STATES.items())
@pytest.mark.parametrize("id_field", ["id", "dispute_id"])
@pytest.mark.parametrize("event_type", [type_ for type_ in TYPES if type_.startswith("dispute")])
def test_disputes_by_state(event_type, id_field, state, kind):
    dispute = a_dispute(state=state)
    ref = dispute.pop("id")
    gateway = a_gateway()
    body = json.dumps(
        {"type": event_type, "event_id": "evt-1", "data": {"object": {"dispute": {**dispute, id_field: ref}}}}
    )
    (event,) = gateway.parse(gateway.verify(request_of(square_signed(KEY, URL, body.encode())), NOW))
    assert (event.kind, event.dispute_ref, event.payment_ref, event.amount) == (kind, "dis1", "sqp1", 12900)


@pytest.mark.parametrize("name", ["payment", "refund", "dispute"])
def test_a_status_that_nobody_knows_is_noted_and_nothing_is_guessed(name):
    subject = {"payment": a_payment, "refund": a_refund, "dispute": a_dispute}[name]()
    field = "state" if name == "dispute" else "status"
    subject[field] = "MELTED"
    with unknown_words() as words:
        assert events_of(f"{name}.created", name, subject) == ()
    assert [(word.field, word.word) for word in words] == [(f"{name}.{field}", "MELTED")]


def test_money_that_nobody_knows_is_noted_and_pays_nothing():
    with unknown_words() as words:
        payment = a_payment(amount_money={"amount": 5, "currency": "XXY"})
        assert events_of("payment.updated", "payment", payment) == ()
    assert [(word.field, word.word) for word in words] == [("currency", "XXY")]


def test_a_refund_and_a_dispute_of_such_a_status_say_nothing_in_an_answer_either():
    for query, name in ((PAYMENT, "payment"), (REFUND, "refund")):
        subject = {"payment": a_payment, "refund": a_refund}[name](status="MELTED")
        answer = answer_to(query, {name: subject})
        assert (answer.found, answer.events) == (True, ())


def test_a_tip_stands_beside_the_amount_so_that_it_can_go_back():
    tip = {"amount": 1100, "currency": "USD"}
    event = event_of("payment.updated", "payment", a_payment(status="COMPLETED", tip_money=tip))
    assert (event.amount, event.on_top) == (12900, 1100)
    pending = event_of("payment.updated", "payment", a_payment(status="APPROVED", tip_money=tip))
    assert pending.on_top is None


def test_a_payment_that_had_been_captured_and_is_none_any_more_is_taken_back():
    captured = {"card_details": {"card_payment_timeline": {"captured_at": "2026-10-05T11:00:00Z"}}}
    failed, reverse = events_of("payment.updated", "payment", a_payment(status="FAILED", **captured))
    assert (failed.event_id, failed.kind) == ("evt-1", Kind.PAYMENT_FAILED)
    assert (reverse.event_id, reverse.kind) == ("evt-1:reversed", Kind.PAYMENT_REVERSED)
    assert len(events_of("payment.updated", "payment", a_payment(status="FAILED"))) == 1


def test_a_refund_began_when_it_was_made_and_has_its_payment_queried_if_that_is_not_known():
    made = "2026-10-05T10:00:00.000Z"
    told = {"refund": a_refund(status="COMPLETED", created_at=made, updated_at=WRITTEN)}
    failed = {"refund": a_refund(status="FAILED", created_at=made, updated_at=WRITTEN)}
    assert [each.occurred_at for each in answer_to(REFUND, failed).events] == [NOW]
    alone = Query(about="refund", refund_ref="ref1")
    answer = answer_to(alone, told)
    (event,) = answer.events
    assert event.occurred_at == NOW - timedelta(hours=2)
    assert answer.also == (Query(about="payment", payment_ref="sqp1"),)
    assert answer_to(REFUND, told).also == ()


def test_an_object_that_names_no_payment_has_no_place():
    with pytest.raises(BadPayload):
        events_of("payment.updated", "payment", a_payment(id="x" * 300))


def test_other_types_are_of_no_interest():
    assert events_of("order.created", "order_created", {"id": "o1"}) == ()


def test_without_a_reference_of_the_merchants_it_is_squares_order():
    payment = a_payment(order_id="sqorder1")
    del payment["reference_id"]
    assert event_of("payment.updated", "payment", payment).order_ref == "sqorder1"


def test_a_tip_does_not_pay_the_order():
    payment = a_payment(total_money={"amount": 14000, "currency": "USD"}, tip_money={"amount": 1100, "currency": "USD"})
    assert event_of("payment.updated", "payment", payment).amount == 12900


def test_yen_have_no_minor_units():
    payment = a_payment(amount_money={"amount": 1500, "currency": "JPY"})
    assert event_of("payment.updated", "payment", payment).amount == 1500


def test_what_was_given_back_so_far_is_an_event_of_its_own():
    payment = a_payment(refunded_money={"amount": 400, "currency": "USD"})
    success, total = events_of("payment.updated", "payment", payment)
    assert (success.kind, success.event_id) == (Kind.PAYMENT_SUCCEEDED, "evt-1")
    assert (total.kind, total.total, total.amount) == (Kind.REFUND_SUCCEEDED, 400, None)
    assert (total.event_id, total.payment_ref) == ("evt-1:refunded", "sqp1")


def test_nothing_given_back_is_no_event():
    assert event_of("payment.updated", "payment", a_payment(refunded_money={"amount": 0, "currency": "USD"}))


@pytest.mark.parametrize(("code", "failure"), FAILURES.items())
def test_error_codes_by_table(code, failure):
    details = {"errors": [{"code": "WHO_KNOWS"}, {"code": code}]}
    event = event_of("payment.updated", "payment", a_payment(status="FAILED", card_details=details))
    assert (event.failure, event.failure_code) == (failure, code)


def test_the_table_holds_only_codes_that_the_official_package_knows():
    known = {literal for part in get_args(ErrorCode) for literal in get_args(part)}
    assert set(FAILURES) <= known


@pytest.mark.parametrize(
    ("status", "more", "failure", "code"),
    [
        ("FAILED", {"card_details": {}}, FailureClass.UNKNOWN, None),
        ("FAILED", {"card_details": {"errors": [{"code": "NEW_ONE"}]}}, FailureClass.UNKNOWN, "NEW_ONE"),
        ("FAILED", {"card_details": {"errors": [7, {"code": 7}, {"code": "no code"}]}}, FailureClass.UNKNOWN, None),
        ("FAILED", {"card_details": [], "source_type": "WALLET"}, FailureClass.UNKNOWN, None),
        (
            "FAILED",
            {"bank_account_details": {"errors": [{"code": "INSUFFICIENT_FUNDS"}]}},
            FailureClass.INSUFFICIENT_FUNDS,
            "INSUFFICIENT_FUNDS",
        ),
        ("CANCELED", {}, FailureClass.USER_CANCELLED, None),
        (
            "CANCELED",
            {"card_details": {"errors": [{"code": "DELAYED_TRANSACTION_EXPIRED"}]}},
            FailureClass.EXPIRED_UNPAID,
            "DELAYED_TRANSACTION_EXPIRED",
        ),
    ],
)
def test_why_a_payment_failed(status, more, failure, code):
    event = event_of("payment.updated", "payment", a_payment(status=status, **more))
    assert (event.failure, event.failure_code) == (failure, code)


def test_what_an_unproven_delivery_names():
    def named(name, subject):
        body = square_body(f"{name}.updated", name, subject, event_id="e", at=NOW)
        return a_gateway().claimed_references(request_of(({}, body)))

    payment, refund = named("payment", a_payment()), named("refund", a_refund())
    assert (payment.payment_ref, payment.order_ref) == ("sqp1", "ORDER-1")
    assert (refund.payment_ref, refund.order_ref) == ("sqp1", None)
    assert named("dispute", a_dispute()) is None


# Asking.


def official_request(put):
    """What the official package would send."""
    seen = []

    def remember(request):
        seen.append(request)
        return httpx.Response(200, json={})

    put(OfficialSquare(token="EAAAtoken", httpx_client=httpx.Client(transport=httpx.MockTransport(remember))))
    return seen[0]


@pytest.mark.parametrize(
    ("query", "put"),
    [(PAYMENT, lambda each: each.payments.get("sqp1")), (REFUND, lambda each: each.refunds.get("ref1"))],
    ids=["payment", "refund"],
)
def test_the_official_package_sends_the_same_request(query, put):
    theirs, ours = official_request(put), a_gateway().query_request(query, now=NOW, nonce="n")
    assert (ours.method, ours.url) == (theirs.method, str(theirs.url))
    for name in ("Authorization", "Square-Version"):
        assert ours.headers[name] == theirs.headers[name]
    assert ours.headers["Square-Version"] == API_VERSION


@pytest.mark.parametrize(
    "query",
    [
        Query(about="payment", order_ref="ORDER-1"),
        Query(about="refund", payment_ref="sqp1"),
        Query(about="payment", payment_ref="a/../b"),
    ],
)
def test_what_square_has_no_query_for(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


def test_without_a_token_nothing_is_queried():
    with pytest.raises(CannotQuery, match="access_token"):
        a_gateway(access_token=None).query_request(PAYMENT, now=NOW, nonce="n")


def test_an_answer_tells_the_state_and_what_was_given_back():
    payment = a_payment(refunded_money={"amount": 400, "currency": "USD"})
    success, total = answer_to(PAYMENT, {"payment": payment}).events
    assert success.event_id == "query:sqp1:payment.succeeded:20261005T120000Z:12900"
    assert (total.total, total.order_ref) == (400, "ORDER-1")


def test_an_answer_that_tells_no_time_is_of_the_time_it_was_given_at():
    payment = a_payment()
    del payment["updated_at"]
    answer = answer_to(PAYMENT, {"payment": payment}, headers={"Date": "Mon, 05 Oct 2026 11:59:57 GMT"})
    assert answer.events[0].occurred_at == NOW - timedelta(seconds=3)


def test_a_query_by_reference_alone_learns_the_order():
    answer = answer_to(Query(about="payment", payment_ref="sqp1"), {"payment": a_payment()})
    assert answer.events[0].order_ref == "ORDER-1"


def test_not_found_is_no_failure():
    assert not answer_to(PAYMENT, {"errors": [{"code": "NOT_FOUND"}]}, 404).found


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"<html>", BadPayload),
        (400, b'{"errors":[{"code":"BAD_REQUEST"}]}', BadPayload),
        (401, b"{}", AccessDenied),
        (403, b"", AccessDenied),
        (429, b"", Unavailable),
        (503, b"", Unavailable),
        (200, b'{"payment":{"id":"sqp2"}}', BadPayload),
    ],
)
def test_other_answers(status, body, error):
    with pytest.raises(error):
        answer_to(PAYMENT, body, status)


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
def test_a_simulated_story_ends_as_it_says(template):
    told = SimulatedStory(SIMULATOR, Square, template)
    assert told.end(told.deliveries()) == told.story.expected
    assert told.end(told.answers()) == told.story.expected


def test_the_simulated_api_refuses_and_breaks_as_square_does():
    told = SimulatedStory(SIMULATOR, Square, SIMULATOR.templates[0])
    assert broken_answers(told) == ["Unavailable", "Unavailable", "AccessDenied"]
    assert not told.answer(Query(about="payment", payment_ref="nobody")).found
    assert not told.answer(Query(about="refund", refund_ref="nobody")).found


def test_the_simulators_impostor_and_an_altered_amount_are_refused():
    told = SimulatedStory(SIMULATOR, Square, SIMULATOR.templates[0])
    event = told.story.events[0]
    for signed in (
        impostor_of(told).sign(told.story, event, now=NOW, again=0),
        with_amount_raised(told.signer.sign(told.story, event, now=NOW, again=0), told.signer.amount_follows),
    ):
        with pytest.raises(BadSignature):
            told.gateway.verify(request_of(signed), NOW)


def test_an_answer_that_is_null_is_none():
    with pytest.raises(BadPayload, match="null"):
        a_gateway().read_response(PAYMENT, response_of(({}, b"null")), now=NOW)
