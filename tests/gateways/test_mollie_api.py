"""Mollie: what payments and refunds say, queries, and the story that the sandbox plays."""

import json
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from types import SimpleNamespace

import pytest
from mollie.api.client import Client
from mollie.api.objects.payment import Payment
from mollie_factories import KEY, LINK, PAYMENT, a_gateway, a_payment, a_refund, parsed, taken
from specimen import NOW, Response
from walking import Walk, assert_ends_as_told, facts_after, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import held_in_all
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.mollie.objects import FAILURES, REFUND_STATUSES
from tillkeeper.sandbox.simulators.mollie.objects import (
    mollie_chargeback,
    money,
    time_text,
)
from tillkeeper.sandbox.simulators.mollie.signing import mollie_called
from tillkeeper.sandbox.simulators.mollie.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

DATE = "Mon, 05 Oct 2026 11:59:57 GMT"
REPORTED_AT = NOW - timedelta(seconds=3)
CREATED_AT = datetime(2026, 10, 5, 11, 50, tzinfo=UTC)
REFUND = Query(about="refund", payment_ref="tr_1", refund_ref="re_1")


def response(content, status=200):
    return Response(status=status, headers={"date": [DATE]}, body=json.dumps(content).encode())


def answered(payment, query=PAYMENT, **settings):
    return a_gateway(**settings).read_response(query, response(payment), now=NOW).events


# --- what a payment says ----------------------------------------------------------------------------------------------

SINCE = datetime(2026, 10, 5, 11, 57, tzinfo=UTC)
STATES = {
    "pending": (Kind.PAYMENT_PENDING, None, None),
    "authorized": (Kind.PAYMENT_AUTHORIZED, "authorizedAt", None),
    "paid": (Kind.PAYMENT_SUCCEEDED, "paidAt", None),
    "canceled": (Kind.PAYMENT_CANCELLED, "canceledAt", FailureClass.USER_CANCELLED),
    "expired": (Kind.PAYMENT_CANCELLED, "expiredAt", FailureClass.EXPIRED_UNPAID),
    "failed": (Kind.PAYMENT_FAILED, "failedAt", FailureClass.UNKNOWN),
}


@pytest.mark.parametrize("status", sorted(STATES))
def test_each_status_says_what_it_says_since_when_it_says(status):
    kind, since, failure = STATES[status]
    for stamp, at in (("2026-10-05T13:57:00+02:00", SINCE), (None, REPORTED_AT)):
        times = {} if since is None else {since: stamp}
        (event,) = answered(a_payment(**{"status": status, "paidAt": None, **times}))
        assert (event.kind, event.failure, event.amount) == (kind, failure, 12900)
        assert event.occurred_at == (at if since else CREATED_AT)


def test_a_status_that_nobody_knows_says_nothing_and_is_noted():
    for tell in (lambda: parsed("it", a_payment(status="melted"))[0], lambda: answered(a_payment(status="melted"))):
        with unknown_words() as words:
            assert tell() == ()
        assert [word.word for word in words] == ["melted"]
    with unknown_words() as words:
        assert parsed("it", a_refund(status="melted")) == ((), ())
        assert answered(a_refund(status="melted"), REFUND) == ()
        assert answered(a_payment(_embedded={"refunds": [a_refund(status="melted")]}))[0].payment_ref == "tr_1"
    assert [word.field for word in words] == ["status of a refund"]


def test_a_failure_outlives_what_was_pending_before_whosever_clock_is_ahead():
    """Mollie writes `failedAt` a second before the moment at which it still answered that the payment is pending."""
    failed_at = time_text(NOW - timedelta(seconds=1))
    pending, _ = parsed("payment.pending", a_payment(status="pending", paidAt=None), createdAt=time_text(NOW))
    failed, _ = parsed(
        "payment.failed",
        a_payment(status="failed", paidAt=None, failedAt=failed_at),
        id="event_2",
        createdAt=time_text(NOW + timedelta(seconds=1)),
    )
    for events in ((*pending, *failed), (*failed, *pending)):
        (payment,) = facts_after(events).payments.values()
        assert payment.status == "failed"


def test_what_failed_after_it_was_paid_is_no_money():
    events = [*answered(a_payment()), *answered(a_payment(status="failed", failedAt=time_text(NOW)))]
    order = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"mollie-main"}))
    assert [event.kind for event in events][1:] == [Kind.PAYMENT_FAILED, Kind.PAYMENT_REVERSED]
    assert summarize(order, facts_after(events)).status is Status.FAILED
    both, _ = parsed("payment.failed", a_payment(status="failed", failedAt=time_text(NOW)))
    assert len({event.event_id for event in both}) == 2


def test_an_open_payment_is_found_and_says_nothing():
    answer = a_gateway().read_response(PAYMENT, response(a_payment(status="open")), now=NOW)
    assert (answer.found, answer.events) == (True, ())


@pytest.mark.parametrize(("reason", "failure"), sorted(FAILURES.items()))
def test_each_reason_has_its_class(reason, failure):
    (event,) = answered(a_payment(status="failed", paidAt=None, details={"failureReason": reason}))
    assert (event.failure, event.failure_code) == (failure, reason)


@pytest.mark.parametrize(
    ("value", "currency", "minor"), [("1000", "JPY", 1000), ("10.00", "EUR", 1000), ("0.29", "USD", 29)]
)
def test_amounts_have_the_digits_of_their_currency(value, currency, minor):
    (event,) = answered(a_payment(amount={"value": value, "currency": currency}, amountRefunded=None))
    assert (event.amount, event.currency) == (minor, currency)


@pytest.mark.parametrize(("status", "held"), [("authorized", 12000), ("paid", 0)])
def test_of_a_payment_captured_in_part_only_that_is_paid_and_the_rest_is_held_while_it_can_be_captured(status, held):
    order = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"mollie-main"}))
    authorized = a_payment(status="authorized", captureMode="manual", authorizedAt="2026-10-05T11:55:00+00:00")
    part = authorized | {"status": status, "amountCaptured": money(900, "EUR")}
    events = [*answered(authorized | {"amountCaptured": money(0, "EUR")}), *answered(part)]
    facts = facts_after(events)
    assert (summarize(order, facts).captured, held_in_all(order, facts)) == (900, held)
    more = answered(part | {"amountCaptured": money(1900, "EUR")})
    assert summarize(order, facts_after([*events, *more])).captured == 1900
    whole = answered(authorized | {"status": "paid", "amountCaptured": money(12900, "EUR")})
    assert [event.kind for event in whole] == [Kind.PAYMENT_SUCCEEDED]
    assert summarize(order, facts_after([*events, *more, *whole])).captured == 12900


def test_a_capture_that_mollie_makes_itself_needs_no_name():
    (event,) = answered(a_payment(amountCaptured=money(12900, "EUR")))
    assert (event.amount, event.capture_ref, event.occurred_at) == (12900, None, REPORTED_AT)


@pytest.mark.parametrize(("status", "kind"), sorted(REFUND_STATUSES.items()))
def test_each_refund_embedded_says_where_it_stands(status, kind):
    refunds = {"refunds": [a_refund(status=status)], "chargebacks": []}
    _, event = answered(a_payment(amountRefunded=money(400, "EUR"), _embedded=refunds))
    assert (event.kind, event.refund_ref, event.amount, event.total) == (kind, "re_1", 400, None)
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "tr_1")
    assert event.occurred_at == (NOW - timedelta(minutes=1) if kind is Kind.REFUND_PENDING else REPORTED_AT)


def test_a_chargeback_embedded_is_a_dispute_until_it_is_reversed():
    for reversed_at, kind in ((None, Kind.DISPUTE_OPENED), ("2026-10-05T12:00:00+00:00", Kind.DISPUTE_WON)):
        chargeback = mollie_chargeback("chb_1", "tr_1", 400, "EUR", reversedAt=reversed_at)
        _, event = answered(a_payment(_embedded={"chargebacks": [chargeback]}))
        assert (event.kind, event.dispute_ref, event.amount) == (kind, "chb_1", 400)


def test_what_is_not_embedded_is_in_totals():
    back = {"amountRefunded": money(400, "EUR"), "amountChargedBack": money(300, "EUR")}
    _, refunded, charged = answered(a_payment(**back))
    assert (refunded.kind, refunded.total) == (Kind.REFUND_SUCCEEDED, 400)
    assert (charged.kind, charged.dispute_ref, charged.amount) == (Kind.DISPUTE_OPENED, "tr_1:chargebacks", 300)


@pytest.mark.parametrize(
    ("metadata", "ref"),
    [
        ({"order_id": "A-1"}, "A-1"),
        ({"order_id": 77}, "77"),
        ({"order_id": True}, None),
        ({"order_id": ""}, None),
        ({}, None),
        ("A-1", None),
        (["A-1"], None),
        (None, None),
    ],
)
def test_metadata_may_hold_anything_and_name_no_order(metadata, ref):
    (event,) = answered(a_payment(metadata=metadata))
    assert event.order_ref == ref
    query = Query(about="payment", order_ref="ORDER-9", payment_ref="tr_1")
    assert answered(a_payment(metadata=metadata), query)[0].order_ref == (ref or "ORDER-9")


@pytest.mark.parametrize(
    ("written", "ref"),
    [('{"order_id": 12345}', "12345"), ('{"order_id": "A-1"}', "A-1"), ("{broken", None), ("{}", None)],
)
def test_metadata_may_be_json_as_text(written, ref):
    assert answered(a_payment(metadata=written))[0].order_ref == ref


ORDER_OF_ITS_OWN = Query(about="payment", payment_ref="ord_8wmqcHMN4U")


def test_an_order_of_the_orders_api_tells_its_payments():
    assert taken(mollie_called("ord_8wmqcHMN4U")) == ((), (ORDER_OF_ITS_OWN,))
    call = a_gateway().query_request(ORDER_OF_ITS_OWN, now=NOW, nonce="n")
    assert call.url.endswith("/v2/orders/ord_8wmqcHMN4U?embed=payments")
    back = a_payment(id="tr_2", metadata=None, amountRefunded=money(400, "EUR"), _embedded={"refunds": []})
    order = {"id": "ord_8wmqcHMN4U", "orderNumber": "ORDER-7", "metadata": None}
    listed = order | {"_embedded": {"payments": [a_payment(metadata=None), back]}}
    answer = a_gateway().read_response(ORDER_OF_ITS_OWN, response(listed), now=NOW)
    assert [(event.payment_ref, event.order_ref) for event in answer.events] == [
        ("tr_1", "ORDER-7"),
        ("tr_2", "ORDER-7"),
    ]
    assert answer.also == (Query(about="payment", order_ref="ORDER-7", payment_ref="tr_2"),)
    named = a_gateway().read_response(ORDER_OF_ITS_OWN, response(listed | {"metadata": {"order_id": "A-1"}}), now=NOW)
    assert {event.order_ref for event in named.events} == {"A-1"}
    none = a_gateway().read_response(ORDER_OF_ITS_OWN, response(order), now=NOW)
    assert (none.found, none.events) == (True, ())
    with pytest.raises(BadPayload, match="another order"):
        a_gateway().read_response(ORDER_OF_ITS_OWN, response(order | {"id": "ord_2"}), now=NOW)


def test_the_order_reference_may_be_all_of_the_metadata():
    (event,) = answered(a_payment(metadata="A-1"), order_ref_path="metadata")
    assert event.order_ref == "A-1"


def test_a_link_says_what_each_of_its_payments_says():
    listed = {"count": 2, "_embedded": {"payments": [a_payment(), a_payment(id="tr_2", status="failed", paidAt=None)]}}
    assert [(event.payment_ref, event.kind) for event in answered(listed, LINK)] == [
        ("tr_1", Kind.PAYMENT_SUCCEEDED),
        ("tr_2", Kind.PAYMENT_FAILED),
    ]
    none = a_gateway().read_response(LINK, response({"count": 0, "_embedded": {"payments": []}}), now=NOW)
    assert (none.found, none.events) == (False, ())
    for wrong in ({}, {"_embedded": {"payments": {}}}):
        with pytest.raises(BadPayload):
            answered(wrong, LINK)


# --- refunds ----------------------------------------------------------------------------------------------------------


def test_a_refund_is_told_by_itself():
    (event,) = answered(a_refund(), REFUND)
    assert (event.kind, event.payment_ref, event.refund_ref, event.amount) == (
        Kind.REFUND_SUCCEEDED,
        "tr_1",
        "re_1",
        400,
    )


@pytest.mark.parametrize("wrong", [{"id": "re_2"}, {"paymentId": "tr_2"}, {"mode": "live"}])
def test_a_refund_that_cannot_be_is_refused(wrong):
    with pytest.raises(BadPayload):
        answered(a_refund(**wrong), REFUND)


def test_an_answer_about_another_payment_or_mode_is_refused():
    for wrong in ({"id": "tr_2"}, {"mode": "live"}):
        with pytest.raises(BadPayload):
            answered(a_payment(**wrong))


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "officially"),
    [
        (PAYMENT, lambda client: client.payments.get("tr_1", embed="refunds,chargebacks")),
        (REFUND, lambda client: Payment({"id": "tr_1"}, client).refunds.get("re_1")),
        (
            LINK,
            lambda client: client.payment_links.get("pl_1").payments.list(limit=250),
        ),
    ],
    ids=["payment", "refund", "link"],
)
def test_the_official_package_queries_the_same(query, officially, monkeypatch):
    requests = []

    link = {"id": "pl_1", "resource": "payment-link", "_embedded": {"payments": []}}
    response = SimpleNamespace(status_code=200, headers={"Content-Type": "application/hal+json"}, json=lambda: link)

    def send(_session, request, **_):
        requests.append(request)
        return response

    monkeypatch.setattr("requests.Session.send", send)
    client = Client()
    client.set_api_key(KEY)
    officially(client)
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == (requests[-1].method, requests[-1].url)
    assert call.headers["Authorization"] == requests[-1].headers["Authorization"]


def test_the_official_package_reads_what_the_sandbox_writes():
    payment = Payment(a_payment(), None)
    assert payment.is_paid()
    assert (payment.id, payment.amount, payment.metadata) == (
        "tr_1",
        {"value": "129.00", "currency": "EUR"},
        {"order_id": "ORDER-1"},
    )
    assert Payment(a_payment(status="authorized", authorizedAt="2026-10-05T11:58:00+00:00"), None).is_authorized()


@pytest.mark.parametrize(
    "query",
    [
        Query(about="payment", order_ref="ORDER-1"),
        Query(about="payment", payment_ref="sub_1"),
        Query(about="refund", refund_ref="re_1"),
        Query(about="refund", payment_ref="tr_1"),
        Query(about="refund", payment_ref="tr_1", refund_ref="re_1/../.."),
    ],
)
def test_what_has_no_reference_of_mollies_cannot_be_queried(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


def error(status):
    return {"status": status, "title": "No", "detail": "No."}


def test_what_mollie_does_not_know_is_not_found():
    for query in (PAYMENT, LINK, REFUND):
        assert not a_gateway().read_response(query, response(error(404), 404), now=NOW).found


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (401, error(401), AccessDenied),
        (403, error(403), AccessDenied),
        (429, error(429), Unavailable),
        (503, error(503), Unavailable),
        (410, error(410), BadPayload),
        (404, {}, BadPayload),  # somebody's proxy
        (404, [], BadPayload),
        (200, [], BadPayload),
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
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=attrgetter("name"))
@pytest.mark.parametrize("currency", SIMULATOR.currencies)
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, currency):
    story = story_of(SIMULATOR, template, currency=currency)
    events, at_the_end = list(walk.told_by(story)), walk.asked_at_the_end(story)
    assert_ends_as_told(story, events)
    assert_ends_as_told(story, at_the_end)
    assert any(event.kind.is_dispute for event in at_the_end) is ("charge" in template.name)


def test_the_simulated_api_keeps_to_its_own(walk):
    story = story_of(
        SIMULATOR, next(template for template in SIMULATOR.templates if template.name == "a part given back")
    )
    with pytest.raises(AccessDenied):
        walk.answer(story, PAYMENT, authorization="Bearer of_another")
    for query in (PAYMENT, REFUND, LINK):
        assert not walk.answer(story, query).found
    ours = Query(about="refund", payment_ref=story.payment_ref, refund_ref=story.events[-1].refund_ref)
    assert [event.kind for event in walk.answer(story, ours).events] == [Kind.REFUND_SUCCEEDED]
    early = walk.answer(story, Query(about="payment", payment_ref=story.payment_ref), as_of=story.started_at)
    assert (early.found, early.events) == (True, ())
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    call = walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, put_of(call)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)
