"""Flutterwave: signatures, secrets and what deliveries say."""

import json

import pytest
from flutterwave_factories import (
    PAYMENT,
    REFUND,
    SECRET,
    a_charge,
    a_gateway,
    a_refund,
    a_transaction,
    answer_to,
    response,
    v3,
)
from pydantic import ValidationError
from specimen import NOW, request_of, with_header

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.flutterwave.gateway import Flutterwave
from tillkeeper.gateways.flutterwave.objects import CHARGE_STATUSES, CHARGEBACK_STATUSES, FAILURES, REFUND_STATUSES
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import ClaimedReferences, Query
from tillkeeper.sandbox.simulators.flutterwave.signing import flutterwave_body, flutterwave_signed, flutterwave_v3

OLDER = "an_older_secret_hash"


def a_chargeback(**more):
    return {"id": "chb_1", "charge_id": "chg_1", "amount": 129, "currency": "NGN", "status": "initiated"} | more


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
    assert [(each.field, each.word) for each in words] == [word]


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
