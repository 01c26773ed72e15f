"""Mercado Pago: the official package verifies what is signed here, and refuses what is refused; statuses by table."""

import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from mercadopago.webhook import InvalidWebhookSignatureError, WebhookSignatureValidator
from specimen import NOW, request_of, response_of, with_header
from walking import Walk, assert_ends_as_told, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Stale, Unavailable
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.mercadopago.gateway import MercadoPago
from tillkeeper.gateways.mercadopago.objects import CHARGEBACKS, FAILURES, PAYMENT_STATUSES, REFUND_STATUSES
from tillkeeper.gateways.mercadopago.settings import MercadoPagoSettings
from tillkeeper.gateways.messages import ClaimedReferences, Query, Request, Response
from tillkeeper.sandbox.simulators.mercadopago.objects import mercadopago_payment, mercadopago_refund
from tillkeeper.sandbox.simulators.mercadopago.signing import mercadopago_notice, mercadopago_query, mercadopago_signed
from tillkeeper.sandbox.simulators.mercadopago.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

SECRET = "a_secret_that_mercado_pago_drew"
OLDER = "an_older_one_of_them"
TOKEN = "APP_USR-token"
REQUEST_ID = "bb56a2f1-6aae-46ac-982e-9dcd3581d08e"
UNIX = int(NOW.timestamp())
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="123456")
ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="123456", refund_ref="77")
APPROVED_AT = datetime(2026, 10, 5, 11, 59, tzinfo=UTC)


def a_gateway(**settings):
    base = {"gateway": "mercadopago", "webhook_secrets": [SECRET], "access_token": TOKEN}
    return MercadoPago("mercadopago-main", MercadoPagoSettings.model_validate(base | settings))


def a_payment(**more):
    return mercadopago_payment("123456", 12900, "BRL", "ORDER-1", **{"id": 123456} | more)


def a_refund(**more):
    return mercadopago_refund(77, "123456", 400, "BRL", **more)


def a_request(data_id="123456", *, signed="123456", request_id=REQUEST_ID, secret=SECRET, now=NOW, **more):
    body = more.pop("body", None) or mercadopago_notice("123456", NOW)
    query = mercadopago_query(data_id, **more) if data_id is not None else "type=payment"
    return request_of(mercadopago_signed(secret, now, signed, request_id, body), query)


def by_hand(manifest, ts, *, query, request_id=None):
    signature = hmac.digest(SECRET.encode(), manifest.encode(), "sha256").hex()
    headers = {"x-signature": [f"ts={ts},v1={signature}"]} | ({"x-request-id": [request_id]} if request_id else {})
    return Request(headers, mercadopago_notice("123456", NOW), query)


def fetched(request, gateway=None):
    gateway = gateway or a_gateway()
    verified = gateway.verify(request, NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


def response(content, status=200):
    body = json.dumps(content, default=float).encode()
    return response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status)


def answer_to(payment, query=PAYMENT):
    return a_gateway().read_response(query, response(payment), now=NOW).events


# --- the official package ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", [REQUEST_ID, None])
@pytest.mark.parametrize("data_id", ["123456", "ABC123", None])
def test_the_official_package_verifies_what_is_signed_here(data_id, request_id):
    headers, _ = mercadopago_signed(SECRET, NOW, data_id, request_id, b"{}")
    told = headers["X-Signature"], headers.get("X-Request-Id"), data_id
    WebhookSignatureValidator.validate(*told, SECRET)
    with pytest.raises(InvalidWebhookSignatureError):
        WebhookSignatureValidator.validate(*told, OLDER)


@pytest.mark.parametrize("spoilt", ["ts=1,v1=", "v1=aa", "ts=1", "", "ts=x,v1=aa", "ts=1,v2=aa"])
def test_what_the_official_package_refuses_is_refused(spoilt):
    with pytest.raises(InvalidWebhookSignatureError):
        WebhookSignatureValidator.validate(spoilt, REQUEST_ID, "123456", SECRET)
    with pytest.raises(BadSignature):
        a_gateway().verify(with_header(a_request(), "x-signature", [spoilt]), NOW)


# --- the signature ----------------------------------------------------------------------------------------------------


def test_the_payment_of_the_signed_id_is_fetched():
    assert fetched(a_request()) == (Query(about="payment", payment_ref="123456"),)


def test_the_id_in_the_body_is_anybodys():
    forged = a_request(body=mercadopago_notice("999999", NOW))
    assert fetched(forged) == (Query(about="payment", payment_ref="123456"),)


def test_the_id_in_the_query_is_signed():
    with pytest.raises(BadSignature):
        a_gateway().verify(a_request("999999"), NOW)


def test_an_id_is_signed_as_it_came_or_in_small_letters():
    for signed in ("AbC1", "abc1"):
        assert fetched(a_request("AbC1", signed=signed)) == (Query(about="payment", payment_ref="AbC1"),)
    with pytest.raises(BadSignature):
        a_gateway().verify(a_request("AbC1", signed="ABC1"), NOW)


def test_parts_that_are_absent_are_left_out_of_what_is_signed():
    assert fetched(a_request(request_id=None))
    with pytest.raises(BadSignature):
        a_gateway().verify(a_request(data_id=None), NOW)
    with pytest.raises(BadPayload, match=r"data\.id"):
        fetched(a_request(data_id=None, signed=None))


@pytest.mark.parametrize("ts", [UNIX, UNIX * 1000, 1])
def test_the_time_is_in_seconds_or_milliseconds_and_has_no_limit(ts):
    request = by_hand(f"id:123456;request-id:{REQUEST_ID};ts:{ts};", ts, query="data.id=123456", request_id=REQUEST_ID)
    assert fetched(request)


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize(("age_s", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_tolerance_holds_for_both_units_and_for_the_future(unit, age_s, good):
    ts = (UNIX - age_s) * unit
    request, gateway = by_hand(f"id:123456;ts:{ts};", ts, query="data.id=123456"), a_gateway(tolerance_s=300)
    if good:
        assert fetched(request, gateway)
        return
    with pytest.raises(Stale) as stale:
        gateway.verify(request, NOW)
    assert stale.value.signed_at == NOW - timedelta(seconds=age_s)


def test_a_time_beyond_all_years_is_refused_where_it_is_looked_at():
    request = by_hand("id:123456;ts:9999999999999999;", "9" * 16, query="data.id=123456")
    assert fetched(request)
    with pytest.raises(BadSignature, match="years"):
        a_gateway(tolerance_s=300).verify(request, NOW)


@pytest.mark.parametrize(
    ("query", "request_id"),
    [
        ("data.id=123456;request-id:b", None),  # the same text is signed
        ("data.id=123456&data.id=999999", "b"),
        ("&".join(f"f{n}=1" for n in range(30)), "b"),
        ("data.id=123456", "b;x"),
        ("data.id=123456", "é"),
    ],
)
def test_what_is_signed_can_be_read_in_one_way_only(query, request_id):
    request = by_hand("id:123456;request-id:b;ts:1;", 1, query=query, request_id=request_id)
    with pytest.raises((BadSignature, BadPayload)):
        fetched(request)


def test_a_header_with_blanks_and_other_schemes_is_read():
    request = a_request()
    ts, _, v1 = request.header("x-signature").partition(",")
    assert fetched(with_header(request, "x-signature", [f" {ts} , v2=aa, {v1}, v1=00"]))


def test_either_of_two_secrets_fits_and_is_named():
    gateway = a_gateway(webhook_secrets=[SECRET, OLDER])
    keys = [gateway.verify(a_request(secret=secret), NOW).key for secret in (SECRET, OLDER)]
    assert keys == list(gateway.key_labels())


# --- what is fetched --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "topic", ["merchant_order", "plan", "subscription_preapproval", "topic_chargebacks_wh", "order"]
)
def test_a_topic_of_no_interest_is_answered_and_nothing_is_fetched(topic):
    assert fetched(a_request(topic=topic)) == ()


def test_the_body_tells_the_topic_where_the_query_does_not():
    for topic, count in (("payment", 1), ("merchant_order", 0)):
        request = a_request(body=mercadopago_notice("123456", NOW, topic=topic))
        assert len(fetched(msgspec.structs.replace(request, query="data.id=123456"))) == count


@pytest.mark.parametrize("data_id", ["", "a/b", "../x", "é", "x" * 65])
def test_an_id_that_could_lead_elsewhere_is_not_fetched(data_id):
    with pytest.raises(BadPayload):
        fetched(a_request(data_id, signed=data_id or None))


@pytest.mark.parametrize("body", [b"paid", b"[]", b"{}", b'{"type":7}'])
def test_a_body_that_cannot_be_read_is_refused(body):
    with pytest.raises(BadPayload):
        fetched(a_request(body=body))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("data.id=123456&type=payment", ClaimedReferences(payment_ref="123456")),
        ("id=123456&topic=payment", ClaimedReferences(payment_ref="123456")),
        ("id=123456&topic=merchant_order", None),
        ("data.id=..%2Fx&type=payment", None),
        ("type=payment", None),
        ("id=1&id=2&topic=payment", None),
        ("", None),
    ],
)
def test_an_unsigned_call_is_refused_and_names_its_payment(query, named):
    request = Request({}, b"{}", query)
    with pytest.raises(BadSignature, match="x-signature"):
        a_gateway().verify(request, NOW)
    assert a_gateway().claimed_references(request) == named


IPN = Request({}, b'{"resource":"123456","topic":"payment"}', "id=123456&topic=payment")


@pytest.mark.parametrize(
    ("query", "refs"),
    [
        ("id=123456&topic=payment", ["123456"]),
        ("data.id=123456&type=payment", ["123456"]),
        ("id=123456&topic=merchant_order", []),
        ("id=..%2Fx&topic=merchant_order", []),
    ],
)
def test_an_unsigned_call_has_its_payment_fetched_where_that_is_set_and_proves_nothing(query, refs):
    gateway = a_gateway(accept_unsigned=True)
    for body in (IPN.body, b"", b"paid"):
        verified = gateway.verify(Request({}, body, query), NOW)
        assert not verified.proven
        assert verified.key not in gateway.key_labels()
        assert gateway.parse(verified) == ()
        assert [query.payment_ref for query in gateway.queries_for(verified)] == refs


@pytest.mark.parametrize(
    "query", ["", "id=123456", "topic=payment", "id=..%2Fx&topic=payment", "id=1&id=2&topic=payment"]
)
def test_an_unsigned_call_that_names_no_payment_is_refused(query):
    with pytest.raises((BadSignature, BadPayload)):
        fetched(Request({}, IPN.body, query), a_gateway(accept_unsigned=True))


@pytest.mark.parametrize("signatures", [["ts=1,v1=" + "0" * 64], ["forged"], [""], ["", ""]])
def test_a_bad_signature_is_refused_though_none_at_all_is_taken(signatures):
    for request in (a_request(), IPN):
        with pytest.raises(BadSignature):
            a_gateway(accept_unsigned=True).verify(with_header(request, "x-signature", signatures), NOW)


def test_what_is_signed_is_proven_also_where_unsigned_calls_are_taken():
    assert a_gateway(accept_unsigned=True).verify(a_request(), NOW).proven


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
    assert [(it.payment_ref, it.kind) for it in events] == [
        ("123456", Kind.PAYMENT_SUCCEEDED),
        ("7", Kind.PAYMENT_FAILED),
    ]
    assert not a_gateway().read_response(ORDER, response({"results": [other]}), now=NOW).found


def test_a_search_may_lag_so_it_counts_as_of_each_payments_last_change_and_what_is_not_paid_is_queried():
    found = {"results": [a_payment(), a_payment(id=7, status="pending", date_approved=None)]}
    answer = a_gateway().read_response(ORDER, response(found), now=NOW)
    assert answer.also == (Query(about="payment", order_ref="ORDER-1", payment_ref="7"),)
    assert [it.as_of for it in answer.events] == [it.occurred_at for it in answer.events]


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
        assert [it.kind for it in answer_to(payment)] == kinds
    assert [(it.field, it.word) for it in words] == [word]


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
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda it: it.name)
@pytest.mark.parametrize("currency", SIMULATOR.currencies)
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, currency):
    story = story_of(SIMULATOR, template, currency=currency)
    events, at_the_end = list(walk.told_by(story)), walk.asked_at_the_end(story)
    assert_ends_as_told(story, events)
    assert_ends_as_told(story, at_the_end)
    assert any(it.kind.is_dispute for it in at_the_end) is ("charge" in template.name)


def test_the_played_api_keeps_to_its_own(walk):
    story = story_of(
        SIMULATOR, next(it for it in SIMULATOR.templates if it.name == "a part given back"), currency="BRL"
    )
    with pytest.raises(AccessDenied):
        walk.answer(story, PAYMENT, authorization="Bearer of_another")
    for query in (PAYMENT, ORDER, REFUND):
        assert not walk.answer(story, query).found
    ours = {"payment_ref": story.payment_ref, "refund_ref": story.events[-1].refund_ref}
    assert [it.kind for it in walk.answer(story, Query(about="refund", **ours)).events] == [Kind.REFUND_SUCCEEDED]
    by_order = Query(about="payment", order_ref=story.order_ref)
    assert [it.event_id for it in walk.answer(story, by_order).events] == [
        it.event_id for it in walk.asked_at_the_end(story)
    ]
    assert not walk.answer(story, by_order, as_of=story.started_at).found
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    elsewhere = msgspec.structs.replace(put_of(walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")), path="/v2")
    assert api.respond(elsewhere, now=NOW, as_of=NOW).status == 404
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, elsewhere), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)
