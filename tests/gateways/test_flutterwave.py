"""Flutterwave, v3 and v4: checked against its documents only; every status by table."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import msgspec
import pytest
from pydantic import ValidationError
from specimen import NOW, request_of, response_of, with_header
from walking import Walk, assert_ends_as_told, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Unavailable
from tillkeeper.gateways.flutterwave.gateway import Flutterwave
from tillkeeper.gateways.flutterwave.objects import CHARGE_STATUSES, CHARGEBACK_STATUSES, FAILURES, REFUND_STATUSES
from tillkeeper.gateways.flutterwave.settings import FlutterwaveSettings
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import ClaimedReferences, Query, Response, Token
from tillkeeper.sandbox.simulators.flutterwave.objects import flutterwave_charge, flutterwave_refund
from tillkeeper.sandbox.simulators.flutterwave.signing import flutterwave_body, flutterwave_signed, flutterwave_v3
from tillkeeper.sandbox.simulators.flutterwave.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

SECRET = "a_hash_chosen_at_random_5d1c"
OLDER = "an_older_secret_hash"
KEY = "FLWSECK_TEST-key-X"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="chg_1")
ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="chg_1", refund_ref="rfd_1")
TOLD_AT = NOW - timedelta(seconds=3)
MADE_AT = datetime(2026, 10, 5, 11, 58, tzinfo=UTC)


def a_gateway(**settings):
    base = {"gateway": "flutterwave", "secret_hashes": [SECRET], "secret_key": KEY}
    return Flutterwave("flutterwave-main", FlutterwaveSettings.model_validate(base | settings))


def v3(**settings):
    return a_gateway(version="v3", **settings)


def a_charge(**more):
    return flutterwave_charge("chg_1", 12900, "NGN", "ORDER-1", **more)


def a_refund(**more):
    return flutterwave_refund("rfd_1", "chg_1", 400, "NGN", **more)


def a_chargeback(**more):
    return {"id": "chb_1", "charge_id": "chg_1", "amount": 129, "currency": "NGN", "status": "initiated"} | more


def a_transaction(**more):
    """v3's."""
    return {
        "id": 288200108,
        "tx_ref": "ORDER-1",
        "flw_ref": "FLW-MOCK-1",
        "amount": 129.5,
        "charged_amount": 131.3,
        "currency": "NGN",
        "status": "successful",
        "processor_response": "Approved by Financial Institution",
        "payment_type": "card",
        "created_at": "2026-10-05T11:58:00.000Z",
        "meta": None,
    } | more


def event_of(event, data, gateway=None, **more):
    gateway = gateway or a_gateway()
    request = request_of(flutterwave_signed(SECRET, flutterwave_body(event, NOW, data, **more)))
    events = gateway.parse(gateway.verify(request, NOW))
    assert gateway.queries_for(gateway.verify(request, NOW)) == ()
    (made,) = events or (None,)
    return made


def fetched(event, data, gateway=None):
    gateway = gateway or v3()
    verified = gateway.verify(request_of(flutterwave_v3(SECRET, event, data)), NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


def response(content, status=200):
    body = json.dumps(content, default=float).encode()
    return response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status)


def answer_to(query, data, gateway=None):
    answer = (gateway or a_gateway()).read_response(query, response({"status": "success", "data": data}), now=NOW)
    assert answer.found is bool(answer.events)
    return answer.events


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"version": "v3", "secret_key": None},
        {"client_id": "id"},
        {"client_secret": "a_client_secret"},
        {"currency": "ngn"},
        {"currency": "NGN\n"},
        {"version": "v5"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ValidationError):
        a_gateway(**settings)


def test_each_version_has_an_address_of_its_own():
    assert (
        a_gateway().query_request(PAYMENT, now=NOW, nonce="n").url
        == "https://f4bexperience.flutterwave.com/charges/chg_1"
    )
    assert (
        v3().query_request(PAYMENT, now=NOW, nonce="n").url
        == "https://api.flutterwave.com/v3/transactions/chg_1/verify"
    )
    elsewhere = v3(api_base="http://127.0.0.1:9").query_request(PAYMENT, now=NOW, nonce="n").url
    assert elsewhere == "http://127.0.0.1:9/v3/transactions/chg_1/verify"


# --- v4's signature ---------------------------------------------------------------------------------------------------


def test_either_of_two_secret_hashes_fits_and_is_named_in_both_versions():
    for version, sign in (("v4", flutterwave_signed), ("v3", lambda secret, _: flutterwave_v3(secret, "x", {}))):
        gateway = a_gateway(version=version, secret_hashes=[SECRET, OLDER])
        keys = [gateway.verify(request_of(sign(secret, b"{}")), NOW).key for secret in (SECRET, OLDER)]
        assert keys == list(gateway.key_labels())


def test_the_secret_itself_is_no_signature_of_v4():
    with pytest.raises(BadSignature, match="flutterwave-signature"):
        a_gateway().verify(request_of(flutterwave_v3(SECRET, "charge.completed", a_charge())), NOW)


# --- v3's secret ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", " ", SECRET.upper(), SECRET + " ", SECRET[:-1], "é", "\udc80", OLDER])
def test_another_secret_is_refused(value):
    request = with_header(request_of(flutterwave_v3(SECRET, "charge.completed", {})), "verif-hash", [value])
    with pytest.raises(BadSignature):
        v3().verify(request, NOW)


@pytest.mark.parametrize("values", [[], [SECRET, SECRET]])
def test_the_secret_stands_exactly_once(values):
    request = with_header(request_of(flutterwave_v3(SECRET, "charge.completed", {})), "verif-hash", values)
    with pytest.raises(BadSignature):
        v3().verify(request, NOW)


def test_a_signature_of_v4_does_not_prove_v3():
    with pytest.raises(BadSignature, match="verif-hash"):
        v3().verify(request_of(flutterwave_signed(SECRET, b"{}")), NOW)


def test_the_header_that_is_the_secret_is_never_kept():
    assert "verif-hash" not in Flutterwave.kept_headers


def test_v3s_payment_is_fetched_whatever_the_body_says():
    query = Query(about="payment", payment_ref="288200108")
    for status in ("successful", "failed", "anything"):
        assert fetched("charge.completed", a_transaction(status=status)) == (query,)
    assert fetched("transfer.completed", {"id": 7}) == ()


def test_v3s_refund_is_fetched_where_its_currency_is_known():
    gateway = v3(currency="NGN")
    for name in ("TransactionId", "tx_id"):
        queries = fetched("refund.completed", {"id": 75923, name: 908790}, gateway)
        assert queries == (Query(about="refund", payment_ref="908790", refund_ref="75923"),)
    (asked,) = fetched("refund.completed", {"id": 75923}, gateway)
    assert asked.payment_ref is None
    with pytest.raises(BadPayload, match="currency"):
        fetched("refund.completed", {"id": 75923})


@pytest.mark.parametrize(
    ("flat", "refs"),
    [
        ({"id": 126122, "txRef": "ORDER-1", "status": "successful", "event.type": "CARD_TRANSACTION"}, ["126122"]),
        ({"id": 126122, "event": None, "event.type": "ACCOUNT_TRANSACTION"}, ["126122"]),
        ({"event.type": "Transfer", "transfer": {"id": 570}}, []),
    ],
)
def test_v3s_older_form_has_its_transaction_fetched_too(flat, refs):
    request = request_of(({"Verif-Hash": SECRET}, json.dumps(flat).encode()))
    verified = v3().verify(request, NOW)
    assert v3().parse(verified) == ()
    assert v3().queries_for(verified) == tuple(Query(about="payment", payment_ref=ref) for ref in refs)


@pytest.mark.parametrize(
    ("event", "data"),
    [("charge.completed", {"id": "../x"}), ("charge.completed", {}), ("charge.completed", []), (None, {"id": 1})],
)
def test_a_delivery_of_v3_that_names_nothing_fit_is_refused(event, data):
    with pytest.raises(BadPayload):
        fetched(event, data)


# --- what v4's events say ---------------------------------------------------------------------------------------------


def test_a_charge_that_succeeded():
    event = event_of("charge.completed", a_charge(amount=1234.56))
    assert event.event_id == "wbk_5QkPzUuaPFtcDmCGbOj1"
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 123456, "NGN")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "chg_1", "card")
    assert (event.occurred_at, event.failure) == (NOW, None)


@pytest.mark.parametrize(("status", "kind"), CHARGE_STATUSES.items())
def test_the_status_decides_and_not_the_events_name(status, kind):
    assert event_of("charge.completed", a_charge(status=status)).kind is kind


def test_an_event_without_an_id_is_named_by_what_it_says():
    assert event_of("charge.completed", a_charge(), id=None).event_id == "charge.completed:chg_1:succeeded"
    assert event_of("charge.completed", a_charge(), id=None, webhook_id="wbk_7").event_id == "wbk_7"


def test_a_time_is_cut_to_seconds():
    assert event_of("charge.completed", a_charge(), timestamp=1_759_665_600_999).occurred_at.microsecond == 0


@pytest.mark.parametrize(
    ("meta", "order_ref"),
    [
        ({"order_id": "MINE"}, "MINE"),
        ({"order_id": 1001}, "1001"),
        *(({"order_id": odd}, "ORDER-1") for odd in ("", None, True, 1.5, [], {})),
        (None, "ORDER-1"),
        ([], "ORDER-1"),
    ],
)
def test_meta_names_the_order_before_the_reference(meta, order_ref):
    assert event_of("charge.completed", a_charge(meta=meta)).order_ref == order_ref
    assert answer_to(PAYMENT, a_charge(meta=meta))[0].order_ref == order_ref


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_a_refund_shows_in_its_status(status, kind):
    for written in (status, f"{status}-mpgs"):
        event = event_of("refund.completed", a_refund(status=written))
        assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "rfd_1", "chg_1")
        assert (event.amount, event.total, event.currency) == (400, None, "NGN")
        assert event.failure == (FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None)


def test_a_refund_may_wait_for_somebody_or_be_called_off():
    for status, kind in (("requires_action", Kind.REFUND_PENDING), ("cancelled", Kind.REFUND_FAILED)):
        assert event_of("refund.completed", a_refund(status=status)).kind is kind


def test_a_refund_without_a_currency_is_in_the_one_that_is_set():
    plain = a_refund(currency=None, amount_refunded=None, amount=4.5)
    assert event_of("refund.completed", plain, a_gateway(currency="GHS")).amount == 450
    with pytest.raises(BadPayload, match="currency"):
        event_of("refund.completed", plain)


@pytest.mark.parametrize("status", ["initiated", "declined", "something new", *CHARGEBACK_STATUSES])
def test_a_chargeback_is_a_dispute(status):
    event = event_of("chargeback.updated", a_chargeback(status=status))
    assert event.kind is CHARGEBACK_STATUSES.get(status, Kind.DISPUTE_OPENED)
    assert (event.dispute_ref, event.payment_ref, event.amount) == ("chb_1", "chg_1", 12900)


@pytest.mark.parametrize("more", [{"amount": None}, {"currency": None}])
def test_a_chargeback_without_a_sum_is_an_event_all_the_same(more):
    assert event_of("chargeback.created", a_chargeback(**more)).amount is None


@pytest.mark.parametrize("event", ["transfer.completed", "virtual_account.funded", "something"])
def test_a_type_of_no_interest_is_answered_and_changes_nothing(event):
    assert event_of(event, {"id": 7}) is None
    assert event_of(event, None, timestamp=None) is None


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("charge.completed", a_charge(amount="x")),
        ("charge.completed", a_charge(amount=1.001)),
        ("charge.completed", a_charge(id=None)),
        ("charge.completed", a_charge(reference="x" * 256)),
        ("charge.completed", []),
        ("refund.completed", a_refund(amount_refunded=None)),
        ("chargeback.created", a_chargeback(status=None)),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(event, data):
    with pytest.raises(BadPayload):
        event_of(event, data)


@pytest.mark.parametrize(
    ("event", "data", "word"),
    [
        ("charge.completed", a_charge(status="half"), ("charge.status", "half")),
        ("charge.completed", a_charge(currency="XXX"), ("currency", "XXX")),
        ("refund.completed", a_refund(status="half"), ("refund.status", "half")),
        ("refund.completed", a_refund(currency="XXX"), ("currency", "XXX")),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(event, data, word):
    with unknown_words() as words:
        assert event_of(event, data) is None
    assert [(it.field, it.word) for it in words] == [word]


def test_an_answer_with_an_unknown_word_is_an_answer():
    with unknown_words() as words:
        for query, data in ((PAYMENT, a_charge(status="half")), (REFUND, a_refund(status="half"))):
            answer = a_gateway().read_response(query, response({"status": "success", "data": data}), now=NOW)
            assert (answer.found, answer.events) == (True, ())
    assert len(words) == 2


def test_a_chargeback_in_a_currency_that_nobody_knows_comes_without_its_amount():
    event = event_of("chargeback.created", a_chargeback(currency="XXX"))
    assert (event.kind, event.amount, event.currency) == (Kind.DISPUTE_OPENED, None, None)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"), [(0.29, "NGN", 29), (1500, "UGX", 1500), (1500, "XAF", 1500), (19.9, "KES", 1990)]
)
def test_amounts_are_numbers_of_major_units(amount, currency, minor):
    assert event_of("charge.completed", a_charge(amount=amount, currency=currency)).amount == minor


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("Insufficient Fund", FailureClass.INSUFFICIENT_FUNDS),
        ("Insufficient Funds", FailureClass.INSUFFICIENT_FUNDS),
        ("Exceeds withdrawal limit", FailureClass.LIMIT_EXCEEDED),
        ("Expired card", FailureClass.CARD_EXPIRED_OR_INVALID),
        ("Invalid transaction", FailureClass.CARD_EXPIRED_OR_INVALID),
        ("Do not honor", FailureClass.UNKNOWN),
        ("Transaction timed out", FailureClass.NETWORK_TIMEOUT),
        ("Suspected fraud", FailureClass.SUSPECTED_FRAUD),
    ],
)
def test_free_text_tells_why_a_charge_failed(said, failure):
    event = event_of("charge.completed", a_charge(status="failed", processor_response=said))
    assert (event.failure, event.failure_code) == (failure, said)


@pytest.mark.parametrize(("words", "failure"), FAILURES)
def test_each_line_of_the_table_can_be_reached(words, failure):
    said = {"type": words.replace(" ", "_"), "code": "51"}
    event = event_of("charge.completed", a_charge(status="cancelled", processor_response=said))
    assert event.failure is failure


@pytest.mark.parametrize(
    ("said", "code"), [(None, None), ("", None), (7, None), ({}, None), ({"code": "51"}, "51"), ("x" * 300, "x" * 100)]
)
def test_a_reason_that_is_odd_is_unknown(said, code):
    event = event_of("charge.completed", a_charge(status="failed", processor_response=said))
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, code)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (a_charge(), ClaimedReferences(order_ref="ORDER-1", payment_ref="chg_1")),
        (a_transaction(), ClaimedReferences(order_ref="ORDER-1", payment_ref="288200108")),
        (a_charge(id="../x", reference="a b"), None),
        (a_charge(status=[]), None),
        (a_refund(status="completed"), None),
        ([], None),
    ],
)
def test_an_unproven_delivery_names_a_charge_and_an_order(data, named):
    assert a_gateway().claimed_references(request_of(flutterwave_v3("forged_hash", "charge.completed", data))) == named


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "of_v4", "of_v3"),
    [
        (PAYMENT, "/charges/chg_1", "/v3/transactions/chg_1/verify"),
        (
            Query(about="payment", order_ref="O&R 1"),
            "/charges?reference=O%26R+1",
            "/v3/transactions/verify_by_reference?tx_ref=O%26R+1",
        ),
        (REFUND, "/refunds/rfd_1", "/v3/refunds/rfd_1"),
    ],
)
def test_where_each_query_goes(query, of_v4, of_v3):
    for gateway, path in ((a_gateway(), of_v4), (v3(), of_v3)):
        call = gateway.query_request(query, now=NOW, nonce="n")
        assert call.method == "GET"
        assert call.url.endswith(f".com{path}")
        assert call.headers["Authorization"] == f"Bearer {KEY}"


def test_without_credentials_nothing_can_be_queried():
    with pytest.raises(CannotQuery, match="client_id"):
        a_gateway(secret_key=None).query_request(PAYMENT, now=NOW, nonce="n")
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment"), now=NOW, nonce="n")


def test_v4s_credentials_are_exchanged_for_a_token():
    gateway = a_gateway(client_id="an_id", client_secret="a_client_secret")
    call = gateway.token_request(now=NOW)
    assert (call.method, call.url.split("/")[2]) == ("POST", "idp.flutterwave.com")
    assert parse_qs(call.body.decode()) == {
        "client_id": ["an_id"],
        "client_secret": ["a_client_secret"],
        "grant_type": ["client_credentials"],
    }
    assert "Authorization" not in gateway.query_request(PAYMENT, now=NOW, nonce="n").headers
    token = gateway.read_token(response({"access_token": "t0ken", "expires_in": 600}), now=NOW)
    assert token == Token(value="t0ken", until=NOW + timedelta(seconds=600))


def test_nobody_signs_in_with_a_secret_key():
    assert a_gateway().token_request(now=NOW) is None
    assert v3(client_id="an_id", client_secret="a_client_secret").token_request(now=NOW) is None


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (400, {"error": "invalid_client"}, AccessDenied),
        (401, {}, AccessDenied),
        (404, {}, BadPayload),
        (429, {}, Unavailable),
        (503, {}, Unavailable),
        (200, {"access_token": "t", "expires_in": 0}, BadPayload),
        (200, {"access_token": "t", "expires_in": 10**9}, BadPayload),
        (200, {"expires_in": 600}, BadPayload),
        (200, [], BadPayload),
    ],
)
def test_a_token_that_is_not_given_says_why(status, content, refusal):
    gateway = a_gateway(client_id="an_id", client_secret="a_client_secret")
    with pytest.raises(refusal):
        gateway.read_token(response(content, status), now=NOW)


@pytest.mark.parametrize(("status", "kind"), CHARGE_STATUSES.items())
def test_what_a_charge_says_when_queried(status, kind):
    (event,) = answer_to(PAYMENT, a_charge(status=status))
    assert (event.kind, event.amount, event.order_ref) == (kind, 12900, "ORDER-1")
    assert event.occurred_at == (MADE_AT if kind is Kind.PAYMENT_SUCCEEDED else TOLD_AT)


def test_what_v3s_transaction_says():
    query = Query(about="payment", payment_ref="288200108")
    (event,) = answer_to(query, a_transaction(), v3())
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12950, "NGN")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "288200108", "card")
    (by_order,) = answer_to(ORDER, a_transaction(created_at=None), v3())
    assert by_order.occurred_at == TOLD_AT


def test_charges_of_other_references_are_left_out():
    events = answer_to(ORDER, [a_charge(), a_charge(id="chg_2", reference="ORDER-10")])
    assert [it.payment_ref for it in events] == ["chg_1"]
    assert answer_to(ORDER, []) == ()
    assert answer_to(ORDER, None) == ()


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_what_v3s_refund_says(status, kind):
    query = Query(about="refund", payment_ref="908790", refund_ref="75923")
    refund = {"id": 75923, "amount_refunded": 69.5, "status": status, "created_at": "2026-10-05T11:58:00.000Z"}
    for more in ({}, {"tx_id": 908790}):
        (event,) = answer_to(query, refund | more, v3(currency="NGN"))
        assert (event.kind, event.amount, event.currency) == (kind, 6950, "NGN")
        assert (event.refund_ref, event.payment_ref, event.order_ref) == ("75923", "908790", None)
        assert event.occurred_at == (TOLD_AT if kind is Kind.REFUND_FAILED else MADE_AT)


@pytest.mark.parametrize(("query", "data"), [(PAYMENT, a_charge(id="chg_2")), (REFUND, a_refund(id="rfd_2"))])
def test_an_answer_about_something_else_is_refused(query, data):
    with pytest.raises(BadPayload):
        answer_to(query, data)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, {"status": "failed", "error": {"type": "RESOURCE_NOT_FOUND", "code": "10404"}}),
        (400, {"status": "error", "message": "No transaction was found for this id", "data": None}),
        (404, {"status": "error", "message": "Transaction not found"}),
    ],
)
def test_not_found_is_an_answer(status, content):
    answer = a_gateway().read_response(PAYMENT, response(content, status), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (401, {}, AccessDenied),
        (403, {"status": "error"}, AccessDenied),
        (429, {}, Unavailable),
        (500, {"status": "error"}, Unavailable),
        (400, {"status": "error", "message": "Invalid id"}, BadPayload),
        (404, {"status": "failed", "error": []}, BadPayload),
        (404, {}, BadPayload),  # somebody's proxy
        (404, {"status": "success"}, BadPayload),
        (200, {"status": "error"}, BadPayload),
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
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda it: it.name)
@pytest.mark.parametrize(("currency", "gap_s"), [("NGN", 30), ("XAF", 0)])
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, currency, gap_s):
    story = story_of(SIMULATOR, template, currency=currency, gap_s=gap_s)
    if template.in_other_currency:
        story = msgspec.structs.replace(story, due_currency="USD")
    events = list(walk.told_by(story))
    assert_ends_as_told(story, events)
    assert any(it.kind.is_dispute for it in events) is ("charged back" in template.name)
    refunds = {it.refund_ref for it in story.events if it.event_type.startswith("refund.")}
    queries = [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in refunds]
    assert_ends_as_told(
        story,
        [
            *walk.asked_at_the_end(story),
            *(event for query in queries for event in walk.answer(story, query).events),
        ],
    )


def test_the_played_api_keeps_to_its_own(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0], currency="NGN")
    with pytest.raises(AccessDenied):
        walk.answer(story, PAYMENT, authorization="Bearer of_another")
    for query in (PAYMENT, ORDER, REFUND):
        assert not walk.answer(story, query).found
    by_order = Query(about="payment", order_ref=story.order_ref)
    assert walk.answer(story, by_order).events == walk.asked_at_the_end(story)
    for query in (by_order, Query(about="payment", payment_ref=story.payment_ref)):
        assert not walk.answer(story, query, as_of=story.started_at).found
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    call = walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, put_of(call)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)
