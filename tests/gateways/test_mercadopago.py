"""Mercado Pago: signatures, and what deliveries have fetched."""

import hmac
from datetime import timedelta

import msgspec
import pytest
from mercadopago.webhook import InvalidWebhookSignatureError, WebhookSignatureValidator
from mercadopago_factories import SECRET, a_gateway
from specimen import NOW, request_of, with_header

from tillkeeper.gateways.errors import BadPayload, BadSignature, Stale
from tillkeeper.gateways.messages import ClaimedReferences, Query, Request
from tillkeeper.sandbox.simulators.mercadopago.signing import mercadopago_notice, mercadopago_query, mercadopago_signed

OLDER = "an_older_one_of_them"
REQUEST_ID = "bb56a2f1-6aae-46ac-982e-9dcd3581d08e"
UNIX = int(NOW.timestamp())


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
