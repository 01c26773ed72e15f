"""Braintree: the package braintree signs and we verify, and parses what the sandbox signs; every status by table."""

from base64 import b64decode, b64encode, encodebytes
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import braintree as package
import msgspec
import pytest
from braintree.util.xml_util import XmlUtil
from braintree.webhook_testing_gateway import WebhookTestingGateway
from playwalk import asked, delivered, ledger_with, outcome_of, story_of, truth_of
from pydantic import ValidationError
from specimen import NOW, request_of, response_of
from specimen_braintree import CREDIT, PAID_AT, SALE, SETTINGS, STORY, VOICE

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.braintree.gateway import Braintree
from tillkeeper.gateways.braintree.objects import (
    DECLINES,
    DISPUTE_STATUSES,
    DISPUTES,
    REFUND_KINDS,
    REJECTIONS,
    SALE_STATUSES,
)
from tillkeeper.gateways.braintree.settings import BraintreeSettings
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Answer, ClaimedReferences, Query, Request
from tillkeeper.gateways.registry import build
from tillkeeper.sandbox.simulators.braintree.objects import dispute, document, notification
from tillkeeper.sandbox.simulators.braintree.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.braintree.templates import TEMPLATES
from tillkeeper.sandbox.story import StoryEvent

PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="e5z9qk2n")
REFUND = Query(about="refund", order_ref="ORDER-1", refund_ref="r3fundq8")
TOLD_AT = NOW
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def the_package():
    configuration = package.Configuration(
        environment=package.Environment.Sandbox,
        merchant_id=VOICE.merchant_id,
        public_key=VOICE.public_key,
        private_key=VOICE.private_key,
    )
    return package.BraintreeGateway(configuration)


def a_gateway(**settings):
    return Braintree("braintree-main", BraintreeSettings.model_validate(SETTINGS | settings))


def events_of_request(request, gateway=None):
    gateway = gateway or a_gateway()
    verified = gateway.verify(request, NOW)
    return gateway.parse(verified), gateway.queries_for(verified)


def events_of(kind, subject, at=PAID_AT):
    events, queries = events_of_request(request_of(VOICE.sent(notification(kind, at, subject))))
    assert queries == () or "settlement_" in str(subject)
    return events


def event_of(kind, subject, **more):
    (event,) = events_of(kind, subject, **more)
    return event


def fetched_by(kind, subject):
    events, queries = events_of_request(request_of(VOICE.sent(notification(kind, PAID_AT, subject))))
    assert events == ()
    return queries


def a_dispute(event_type="dispute_opened", **more):
    told = StoryEvent(event_type=event_type, event_id="e", at=PAID_AT, amount=12900, refund_ref="")
    return dispute(STORY, told) | more


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


# The package signs, we verify; and the other way round.

KINDS = sorted(kind for name, kind in vars(package.WebhookNotification.Kind).items() if not name.startswith("_"))
EVENTS = {
    "transaction_settled": (Kind.PAYMENT_SUCCEEDED, "my_id", 10000),
    "transaction_settlement_declined": (Kind.PAYMENT_FAILED, "my_id", 10000),
    "dispute_opened": (Kind.DISPUTE_OPENED, "my_id", 10000),
    "dispute_under_review": (Kind.DISPUTE_OPENED, "my_id", 10000),
    "dispute_disputed": (Kind.DISPUTE_OPENED, "my_id", 10000),
    "dispute_won": (Kind.DISPUTE_WON, "my_id", 10000),
    "dispute_lost": (Kind.DISPUTE_LOST, "my_id", 10000),
    "dispute_accepted": (Kind.DISPUTE_LOST, "my_id", 10000),
    "dispute_auto_accepted": (Kind.DISPUTE_LOST, "my_id", 10000),
    "dispute_expired": (Kind.DISPUTE_LOST, "my_id", 10000),
    "transaction_retried": (Kind.PAYMENT_PENDING, "my_id", 10000),
    "local_payment_expired": (Kind.PAYMENT_CANCELLED, "a-payment-id", None),
    "local_payment_reversed": (Kind.PAYMENT_CANCELLED, "a-payment-id", None),
}
FETCHED = {
    "transaction_disbursed": Query(about="payment", payment_ref="my_id"),
    "refund_failed": Query(about="refund", refund_ref="my_id"),
    "transaction_settlement_declined": Query(about="payment", payment_ref="my_id"),
    "local_payment_completed": Query(about="payment", payment_ref="1"),
    "local_payment_funded": Query(about="payment", payment_ref="1"),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_every_kind_by_the_package_are_verified(the_package, kind):
    sample = WebhookTestingGateway(the_package).sample_notification(kind, "my_id")
    events, queries = events_of_request(request_of((FORM, urlencode(sample).encode())))
    if kind in EVENTS:
        (event,) = events
        assert (event.kind, event.payment_ref, event.amount) == EVENTS[kind]
        assert event.event_id.startswith(f"{kind}:{event.dispute_ref or event.payment_ref}:20")
    else:
        assert events == ()
    assert queries == ((FETCHED[kind],) if kind in FETCHED else ())


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("kind", ["dispute_opened", "dispute_won", "dispute_lost", "local_payment_completed"])
@pytest.mark.parametrize("ref", ["legacy_dispute_id", "blik_one_click_id"])
def test_older_and_odd_samples_by_the_package_are_taken(the_package, kind, ref):
    sample = WebhookTestingGateway(the_package).sample_notification(kind, ref)
    events, queries = events_of_request(request_of((FORM, urlencode(sample).encode())))
    assert len(events) + len(queries) == 1


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda it: it.name)
def test_the_package_parses_what_the_sandbox_signs(the_package, template):
    story = story_of(SIMULATOR, VOICE, template)
    for event in story.events:
        _, body = VOICE.sign(story, event, now=NOW, again=0)
        fields = dict(pair.split("=") for pair in body.decode().split("&"))
        told = the_package.webhook_notification.parse(
            *(unquoted(fields[name]) for name in ("bt_signature", "bt_payload"))
        )
        assert told.timestamp.replace(tzinfo=UTC) == event.at
        subject = getattr(told, "transaction", None) or getattr(told, "dispute", None)
        assert subject is None or subject.id in {story.payment_ref, event.refund_ref, f"dp_{story.payment_ref[2:]}"}


def unquoted(value):
    return package.util.http.requests.compat.unquote_plus(value)


def test_the_package_reads_the_sandboxs_answers(the_package):
    told = package.Transaction(the_package, XmlUtil.dict_from_xml(document("transaction", CREDIT))["transaction"])
    assert (told.id, told.status, told.type, told.refunded_transaction_id) == (
        "r3fundq8",
        "settled",
        "credit",
        "e5z9qk2n",
    )
    assert told.status_history[0].status == "settled"
    assert str(told.amount) == "4.00"


def test_the_challenge_is_answered_as_the_package_answers_it(the_package):
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    reply = a_gateway().answer_challenge(Request(headers={}, body=b"", query=f"bt_challenge={challenge}"))
    assert reply.body.decode() == the_package.webhook_notification.verify(challenge)
    assert reply.status == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "bt_challenge=",
        "bt_challenge=" + "a" * 19,
        "bt_challenge=" + "a" * 33,
        "bt_challenge=" + "G" * 24,
        "bt_challenge=" + "a" * 24 + "%0A",
        "bt_challenge=" + "a" * 24 + "&bt_challenge=" + "b" * 24,
        "challenge=" + "a" * 24,
    ],
)
def test_what_is_no_challenge_is_not_signed(query):
    assert a_gateway().answer_challenge(Request(headers={}, body=b"", query=query)) is None


def test_an_answered_challenge_is_no_payload():
    """What a challenge has us sign is base64 too; it decodes to nothing that could be XML."""
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    reply = a_gateway().answer_challenge(Request(headers={}, body=b"", query=f"bt_challenge={challenge}"))
    body = urlencode({"bt_signature": reply.body.decode(), "bt_payload": challenge}).encode()
    with pytest.raises(BadPayload):
        a_gateway().verify(request_of((FORM, body)), NOW)


# The signature.


def form(payload, signature):
    return request_of((FORM, urlencode({"bt_signature": signature, "bt_payload": payload}).encode()))


def signed(body=None):
    payload = encodebytes(body or notification("check", NOW, {"check": "true"})).decode()
    _, sent = VOICE.sent_payload(payload)
    return payload, dict(it.split("=") for it in sent.decode().split("&"))["bt_signature"].replace("%7C", "|")


def test_the_pair_of_our_public_key_is_picked():
    payload, pair = signed()
    for pairs in (f"other|{'0' * 40}&{pair}", f"{pair}&other|{'0' * 40}", f"no_bar&{pair}"):
        assert a_gateway().verify(form(payload, pairs), NOW).key.startswith("private_key[0]:")
    with pytest.raises(BadSignature, match="public_key") as refused:
        a_gateway().verify(form(payload, pair.replace("integration", "other")), NOW)
    assert refused.value.step is VerificationStep.KEY
    with pytest.raises(BadSignature):
        a_gateway().verify(form(payload, f"{VOICE.public_key}|{'0' * 40}"), NOW)


def test_a_payload_that_lost_its_last_line_end_is_verified():
    payload, pair = signed()
    assert payload.endswith("\n")
    assert a_gateway().verify(form(payload[:-1], pair), NOW)
    for changed in (payload + "\n", payload[:-2], payload.replace("\n", "")):
        with pytest.raises(BadSignature):
            a_gateway().verify(form(changed, pair), NOW)


@pytest.mark.parametrize("odd", ["{}", "\r\n", " ", "%", "-_", "é"])
def test_a_payload_of_other_characters_is_refused_before_anything_else(odd):
    payload, pair = signed()
    with pytest.raises(BadSignature, match="base64") as refused:
        a_gateway().verify(form(payload + odd, pair), NOW)
    assert refused.value.step is VerificationStep.HEADER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"bt_payload=AAAA",
        b"bt_signature=a%7Cb",
        b"bt_payload=&bt_signature=a%7Cb",
        b"bt_payload=AAAA&bt_signature=" + b"a" * 5000,
        b"bt_payload=AAAA&bt_signature=" + quote(VOICE.public_key).encode() + b"%7C%C3%A9",
    ],
)
def test_what_is_missing_or_too_long_is_refused(body):
    with pytest.raises(BadSignature) as refused:
        a_gateway().verify(request_of((FORM, body)), NOW)
    assert refused.value.step is VerificationStep.HEADER


def test_more_fields_than_braintrees_are_refused():
    payload, pair = signed()
    body = urlencode({"bt_signature": pair, "bt_payload": payload, "more": "1"}).encode()
    with pytest.raises(BadPayload):
        a_gateway().verify(request_of((FORM, body)), NOW)


@pytest.mark.parametrize("payload", ["=", "A", "AAAA=AAA", "AA=A\n"])
def test_an_authentic_payload_that_is_no_base64_is_refused(payload):
    with pytest.raises(BadPayload):
        a_gateway().verify(request_of(VOICE.sent_payload(payload)), NOW)


@pytest.mark.parametrize(
    "body", [b"<a/>", b"<notification/>", b"<notification><kind>check</kind><kind>x</kind></notification>"]
)
def test_an_authentic_payload_that_is_no_notification_is_refused(body):
    with pytest.raises(BadPayload):
        events_of_request(request_of(VOICE.sent(body)))


@pytest.mark.parametrize(
    "more", [{"private_key": ""}, {"private_key": "short"}, {"public_key": ""}, {"merchant_id": ""}]
)
def test_settings_that_would_let_anybody_sign_are_refused(more):
    with pytest.raises(ValidationError):
        a_gateway(**more)


def test_the_api_base_tells_live_from_sandbox():
    assert a_gateway().live is True
    assert a_gateway(api_base="https://api.sandbox.braintreegateway.com/").live is False
    assert a_gateway(api_base="http://127.0.0.1:1").live is None


# What notifications say.


def test_a_settled_sale_is_a_payment():
    event = event_of("transaction_settled", {"transaction": SALE})
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "USD")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "e5z9qk2n", "us_bank_account")
    assert (event.occurred_at, event.evidence) == (PAID_AT, Evidence.WEBHOOK)
    assert event.event_id == "transaction_settled:e5z9qk2n:2026-10-05T11:59:00Z"


def test_the_status_tells_and_not_the_kind():
    assert event_of("transaction_settled", {"transaction": SALE | {"status": "voided"}}).kind is Kind.PAYMENT_CANCELLED


def test_two_kinds_and_two_times_are_different_events():
    told = {
        event_of("transaction_settled", {"transaction": SALE}).event_id,
        event_of("transaction_retried", {"transaction": SALE}).event_id,
        event_of("transaction_settled", {"transaction": SALE}, at=NOW).event_id,
    }
    assert len(told) == 3


@pytest.mark.parametrize(
    ("written", "currency", "minor"), [("0.29", "USD", 29), ("100", "USD", 10000), ("129", "JPY", 129)]
)
def test_amounts_are_decimal_text(written, currency, minor):
    told = event_of("transaction_settled", {"transaction": SALE | {"amount": written, "currency-iso-code": currency}})
    assert (told.amount, told.currency) == (minor, currency)


@pytest.mark.parametrize(("status", "kind"), SALE_STATUSES.items())
def test_every_status_of_a_sale_and_of_a_credit(status, kind):
    event = event_of("transaction_settled", {"transaction": SALE | {"status": status}})
    assert event.kind is kind
    assert (event.failure is None) is (kind not in {Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})
    refund = event_of("transaction_settled", {"transaction": CREDIT | {"status": status}})
    assert refund.kind is REFUND_KINDS[kind]
    assert (refund.refund_ref, refund.payment_ref, refund.amount) == ("r3fundq8", "e5z9qk2n", 400)
    assert (refund.order_ref, refund.method) == ("ORDER-1", None)


def test_only_what_is_settled_is_a_success_for_a_success_is_for_ever():
    assert [status for status, kind in SALE_STATUSES.items() if kind is Kind.PAYMENT_SUCCEEDED] == ["settled"]


def test_a_credit_that_refunds_nothing_is_no_orders():
    assert events_of("transaction_settled", {"transaction": CREDIT | {"refunded-transaction-id": None}}) == ()


def test_a_failed_refund_that_is_complete_is_an_event():
    event = event_of("refund_failed", {"transaction": CREDIT | {"status": "processor_declined"}})
    assert (event.kind, event.refund_ref) == (Kind.REFUND_FAILED, "r3fundq8")
    assert (event.payment_ref, event.order_ref, event.amount) == ("e5z9qk2n", "ORDER-1", 400)
    assert event.event_id.startswith("refund_failed:r3fundq8:")


@pytest.mark.parametrize(("code", "failure"), DECLINES.items())
def test_a_declines_code_has_a_class(code, failure):
    told = SALE | {"status": "processor_declined", "processor-response-code": code}
    event = event_of("transaction_settled", {"transaction": told})
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(("reason", "failure"), REJECTIONS.items())
def test_a_rejections_reason_has_a_class(reason, failure):
    told = SALE | {"status": "gateway_rejected", "gateway-rejection-reason": reason}
    event = event_of("transaction_settled", {"transaction": told})
    assert (event.failure, event.failure_code) == (failure, reason)


@pytest.mark.parametrize(
    ("more", "failure", "code"),
    [
        ({"status": "failed", "processor-response-code": "9999"}, FailureClass.UNKNOWN, "failed"),
        ({"status": "failed", "processor-response-code": None}, FailureClass.UNKNOWN, "failed"),
        ({"status": "gateway_rejected", "gateway-rejection-reason": "new"}, FailureClass.UNKNOWN, "new"),
        ({"status": "gateway_rejected", "gateway-rejection-reason": "<odd>"}, FailureClass.UNKNOWN, "gateway_rejected"),
        ({"status": "gateway_rejected"}, FailureClass.UNKNOWN, "gateway_rejected"),
        ({"status": "authorization_expired"}, FailureClass.EXPIRED_UNPAID, "authorization_expired"),
    ],
)
def test_an_unknown_reason_is_unknown(more, failure, code):
    event = event_of("transaction_settled", {"transaction": SALE | more})
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize("kind", sorted(DISPUTES))
def test_every_kind_of_dispute_is_read(kind):
    assert event_of(kind, {"dispute": a_dispute()}).kind is Kind.DISPUTE_OPENED


@pytest.mark.parametrize(("status", "kind"), DISPUTE_STATUSES.items())
def test_every_status_of_a_dispute(status, kind):
    event = event_of("dispute_opened", {"dispute": a_dispute(status=status)})
    assert (event.kind, event.dispute_ref, event.payment_ref) == (kind, "dp_ORDER1", "e5z9qk2n")
    assert (event.order_ref, event.amount, event.currency) == ("ORDER-1", 12900, "USD")


def test_what_is_disputed_may_be_less_than_what_was_paid():
    assert event_of("dispute_opened", {"dispute": a_dispute(**{"amount-disputed": "4.00"})}).amount == 400
    assert event_of("dispute_opened", {"dispute": a_dispute(**{"amount-disputed": None})}).amount == 12900


@pytest.mark.parametrize(
    ("kind", "name", "failure"),
    [
        ("local_payment_expired", "local-payment-expired", FailureClass.EXPIRED_UNPAID),
        ("local_payment_reversed", "local-payment-reversed", FailureClass.UNKNOWN),
    ],
)
def test_a_local_payment_that_ends_without_a_transaction_is_cancelled(kind, name, failure):
    event = event_of(kind, {name: {"payment-id": "PAY-1"}})
    assert (event.kind, event.payment_ref, event.failure) == (Kind.PAYMENT_CANCELLED, "PAY-1", failure)
    assert (event.order_ref, event.amount) == (None, None)


def test_a_local_payment_before_its_transaction_says_nothing_yet():
    assert events_of("local_payment_completed", {"local-payment": {"payment-id": "PAY-1"}}) == ()


def test_what_is_incomplete_is_queried():
    for name in ("status", "type", "currency-iso-code", "amount"):
        told = {"transaction": without(SALE, name)}
        assert fetched_by("transaction_settled", told) == (Query(about="payment", payment_ref="e5z9qk2n"),)
    assert fetched_by("refund_failed", {"transaction": {"id": "r1"}}) == (Query(about="refund", refund_ref="r1"),)
    with pytest.raises(BadPayload):
        fetched_by("transaction_disbursed", {"transaction": {"id": "../x"}})


def test_a_notification_of_another_merchant_counts_for_nothing():
    for subject in ({"transaction": SALE}, {"transaction": {"id": "x"}}):
        body = notification("transaction_settled", PAID_AT, subject)
        for merchant, is_ours in (("another", False), (VOICE.merchant_id, True)):
            told = body.replace(b"<subject>", f"<source-merchant-id>{merchant}</source-merchant-id><subject>".encode())
            assert (events_of_request(request_of(VOICE.sent(told))) != ((), ())) is is_ours


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("transaction_settled", {"transaction": SALE | {"amount": "1.001"}}),
        ("transaction_settled", {"transaction": SALE | {"order-id": "x" * 256}}),
        ("transaction_settled", {"transaction": without(SALE, "id")}),
        ("transaction_settled", {"transaction": "e5z9qk2n"}),
        ("transaction_settled", {}),
        ("transaction_settled", {"subscription": {"id": "s"}}),
        ("dispute_opened", {"dispute": without(a_dispute(), "transaction")}),
        ("dispute_opened", {"dispute": without(a_dispute(), "id")}),
        ("local_payment_expired", {"local-payment-expired": {}}),
    ],
)
def test_an_authentic_notification_that_makes_no_sense_is_refused(kind, subject):
    with pytest.raises(BadPayload):
        events_of(kind, subject)


def test_a_time_that_is_none_is_refused():
    body = notification("transaction_settled", PAID_AT, {"transaction": SALE}).replace(b"T11:59", b" 11:59")
    with pytest.raises(BadPayload):
        events_of_request(request_of(VOICE.sent(body)))


def test_a_notification_names_its_transaction_without_proof():
    named = a_gateway().claimed_references(
        request_of(VOICE.sent(notification("transaction_settled", PAID_AT, {"transaction": SALE})))
    )
    assert named == ClaimedReferences(order_ref="ORDER-1", payment_ref="e5z9qk2n")
    assert (
        a_gateway().claimed_references(request_of(VOICE.sent(notification("check", PAID_AT, {"check": "true"}))))
        is None
    )
    assert a_gateway().claimed_references(request_of((FORM, b"bt_payload=AAAA"))) is None


# Asking.


def answer_to(query, content, status=200):
    body = content if isinstance(content, bytes) else document("transaction", content)
    headers = {"Content-Type": "application/xml", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}
    return a_gateway().read_response(query, response_of((headers, body), status), now=NOW)


def test_a_question_is_that_of_the_package(the_package, monkeypatch):
    class Recorder:
        def http_do(self, verb, path, headers, body):
            self.sent = verb, path, headers
            return 200, document("transaction", SALE)

    recorder = Recorder()
    monkeypatch.setattr(package.util.http.Http, "http_do", lambda _, *args: recorder.http_do(*args))
    the_package.transaction.find("e5z9qk2n")
    verb, path, headers = recorder.sent
    call = a_gateway(api_base="https://api.sandbox.braintreegateway.com").query_request(PAYMENT, now=NOW, nonce="n")
    assert call.method == verb
    assert call.url.replace(".com/", ".com:443/") == path
    assert {name: headers[name] for name in ("Accept", "X-ApiVersion")} == without(call.headers, "Authorization")
    sent = headers["Authorization"].split(b" ")[1]
    assert b64decode(sent) == b64decode(call.headers["Authorization"].removeprefix("Basic "))


@pytest.mark.parametrize("ref", [None, "", "..", "a/b", "a.b", "x" * 65])
def test_what_is_no_id_makes_no_query(ref):
    for query in (
        Query(about="payment", order_ref="ORDER-1", payment_ref=ref),
        Query(about="refund", order_ref="ORDER-1", payment_ref="e5z9qk2n", refund_ref=ref),
    ):
        with pytest.raises(CannotQuery):
            a_gateway().query_request(query, now=NOW, nonce="n")


def test_an_answer_has_the_time_of_its_status():
    history = [
        ("status-event", {"timestamp": "2026-10-05T10:00:00Z", "status": "authorized"}),
        ("status-event", {"timestamp": "2026-10-05T11:00:00Z", "status": "submitted_for_settlement"}),
    ]
    told = SALE | {"status": "submitted_for_settlement", "status-history": history}
    (event,) = answer_to(PAYMENT, told).events
    assert (event.kind, event.occurred_at) == (Kind.PAYMENT_PENDING, datetime(2026, 10, 5, 11, tzinfo=UTC))
    assert event.event_id == "query:e5z9qk2n:payment.pending:20261005T110000Z:12900"
    for other in ([], None, history[:1]):
        (event,) = answer_to(PAYMENT, told | {"status-history": other}).events
        assert event.occurred_at == TOLD_AT


def test_an_answer_finds_its_order_in_itself_and_else_in_the_question():
    (event,) = answer_to(Query(about="payment", payment_ref="e5z9qk2n"), SALE).events
    assert event.order_ref == "ORDER-1"
    (event,) = answer_to(PAYMENT, SALE | {"order-id": None}).events
    assert event.order_ref == "ORDER-1"


def test_a_transaction_that_a_notification_named_may_be_a_refund():
    (event,) = answer_to(Query(about="payment", payment_ref="r3fundq8"), CREDIT).events
    assert (event.kind, event.refund_ref) == (Kind.REFUND_SUCCEEDED, "r3fundq8")
    credited = CREDIT | {"refunded-transaction-id": None}
    assert answer_to(Query(about="payment", payment_ref="r3fundq8"), credited) == Answer(found=True)


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        ({"transaction": SALE | {"status": "new"}}, ("transaction.status", "new")),
        ({"transaction": SALE | {"type": "new"}}, ("transaction.type", "new")),
        ({"transaction": SALE | {"currency-iso-code": "XXX"}}, ("currency", "XXX")),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(subject, word):
    with unknown_words() as words:
        assert events_of("transaction_settled", subject) == ()
        assert answer_to(PAYMENT, subject["transaction"]).events == ()
    assert [(it.field, it.word) for it in words] == [word]


def test_an_unknown_status_of_a_dispute_is_noted():
    with unknown_words() as words:
        assert events_of("dispute_opened", {"dispute": a_dispute(status="new")}) == ()
    assert [(it.field, it.word) for it in words] == [("dispute.status", "new")]


def test_a_sale_that_is_declined_once_it_was_settled_is_taken_back():
    def step(status, at):
        return ("status-event", {"status": status, "timestamp": at})

    history = [step("settled", "2026-10-04T10:00:00Z"), step("settlement_declined", "2026-10-05T10:00:00Z")]
    declined = SALE | {"status": "settlement_declined", "status-history": history}
    failed, reverse = answer_to(PAYMENT, declined).events
    assert (failed.kind, reverse.kind) == (Kind.PAYMENT_FAILED, Kind.PAYMENT_REVERSED)
    assert reverse.occurred_at == NOW - timedelta(hours=2)
    assert [it.kind for it in answer_to(PAYMENT, declined | {"status-history": history[1:]}).events] == [failed.kind]
    asked = Query(about="payment", payment_ref="e5z9qk2n")
    assert events_of_request(
        request_of(VOICE.sent(notification("transaction_settlement_declined", PAID_AT, {"transaction": declined})))
    )[1] == (asked,)


def test_disputes_come_with_their_transaction():
    disputes = [("dispute", without(a_dispute("dispute_lost"), "transaction"))]
    payment, lost = answer_to(PAYMENT, SALE | {"disputes": disputes}).events
    assert (payment.kind, lost.kind) == (Kind.PAYMENT_SUCCEEDED, Kind.DISPUTE_LOST)
    assert (lost.dispute_ref, lost.payment_ref, lost.order_ref) == ("dp_ORDER1", "e5z9qk2n", "ORDER-1")
    assert lost.occurred_at == PAID_AT


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, SALE | {"id": "another"}),
        (REFUND, SALE | {"id": "r3fundq8"}),
        (REFUND, CREDIT | {"refunded-transaction-id": None}),
        (PAYMENT, SALE | {"status-history": [("status-event", {"status": "settled", "timestamp": "today"})]}),
        (PAYMENT, SALE | {"disputes": [("dispute", {"id": "d"})]}),
        (PAYMENT, b"<customer/>"),
        (PAYMENT, b""),
        (PAYMENT, b"<html><body>"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(query, content):
    with pytest.raises(BadPayload):
        answer_to(query, content)


@pytest.mark.parametrize("body", [b"", b" \n", b"<api-error-response/>"])
def test_what_braintree_does_not_know_is_not_found_and_not_failed(body):
    assert answer_to(PAYMENT, body, 404) == Answer(found=False)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b"", AccessDenied),
        (403, b"", AccessDenied),
        (426, b"", AccessDenied),
        (408, b"", Unavailable),
        (429, b"", Unavailable),
        (503, b"<html>", Unavailable),
        (404, b"<html><body/></html>", BadPayload),
        (404, b"<!DOCTYPE html><html/>", BadPayload),
        (422, b"<api-error-response/>", BadPayload),
        (302, b"", BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is(status, body, error):
    with pytest.raises(error):
        answer_to(PAYMENT, body, status)


# The sandbox.


def a_play():
    signer = SIMULATOR.new_signer("braintree-main")
    settings = BraintreeSettings.model_validate({"gateway": "braintree", **SIMULATOR.settings(signer)})
    return signer, build(signer.account, settings)


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda it: it.name)
def test_every_story_ends_as_the_template_says(template):
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, template)
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    events = delivered(gateway, SIMULATOR, signer, story, api)
    assert outcome_of(story, events) == truth_of(story)
    refunds = {it.refund_ref for it in story.events if it.event_type.startswith("refund_")}
    queries = [Query(about="payment", payment_ref=story.payment_ref)]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in sorted(refunds)]
    told = [it for query in queries for it in asked(gateway, api, query, NOW).events]
    if "subscribed" in template.name:  # authorized, as far as the books know
        assert [it.kind for it in told] == [Kind.PAYMENT_AUTHORIZED]
    else:
        assert outcome_of(story, told) == truth_of(story)


def test_a_refund_on_its_way_is_pending():
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, TEMPLATES[8])
    paid, going = story.events
    going = msgspec.structs.replace(going, event_type="refund_submitted")
    story = type(story)(**{name: getattr(story, name) for name in story.__struct_fields__} | {"events": (paid, going)})
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    query = Query(about="refund", order_ref=story.order_ref, refund_ref=going.refund_ref)
    (event,) = asked(gateway, api, query, NOW).events
    assert (event.kind, event.amount) == (Kind.REFUND_PENDING, going.amount)


def test_the_sandbox_refuses_strangers_and_knows_its_own_alone():
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, TEMPLATES[0])
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    impostor = SIMULATOR.impostor(signer)
    settings = BraintreeSettings.model_validate({"gateway": "braintree", **SIMULATOR.settings(impostor)})
    query = Query(about="payment", payment_ref=story.payment_ref)
    with pytest.raises(AccessDenied):
        asked(build("x", settings), api, query, NOW)
    with pytest.raises(BadPayload):
        asked(gateway, api, query, NOW, forged=True)
    assert asked(gateway, api, Query(about="payment", payment_ref="bt7"), NOW) == Answer(found=False)
    early = story.started_at - timedelta(seconds=1)
    assert asked(gateway, api, query, early) == Answer(found=False)
    elsewhere = build("y", settings.model_copy(update={"merchant_id": "z", "private_key": signer.private_key}))
    assert asked(elsewhere, api, query, NOW) == Answer(found=False)
    assert api.error_response(503, None).status == 503


def test_the_sandbox_signs_as_the_package_does(the_package):
    payload = b64encode(b"<notification/>").decode()
    _, body = VOICE.sent_payload(payload)
    pair = unquoted(dict(it.split("=") for it in body.decode().split("&"))["bt_signature"])
    digest = package.util.crypto.Crypto.sha1_hmac_hash(VOICE.private_key, payload)
    assert pair == f"{VOICE.public_key}|{digest}"
