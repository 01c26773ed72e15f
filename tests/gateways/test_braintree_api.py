"""Braintree: queries, answers, and the story that the sandbox plays."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import braintree as package
import msgspec
import pytest
from braintree_factories import a_dispute, a_gateway, events_of, events_of_request, unquoted, without
from simulator_walk import asked, delivered, ledger_with, outcome_of, story_of, truth_of
from specimen import NOW, request_of, response_of
from specimen_braintree import CREDIT, PAID_AT, SALE, VOICE

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.braintree.settings import BraintreeSettings
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.gateways.registry import build
from tillkeeper.sandbox.simulators.braintree.objects import document, notification
from tillkeeper.sandbox.simulators.braintree.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.braintree.templates import TEMPLATES

PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="e5z9qk2n")
REFUND = Query(about="refund", order_ref="ORDER-1", refund_ref="r3fundq8")
TOLD_AT = NOW


@pytest.fixture
def the_package():
    configuration = package.Configuration(
        environment=package.Environment.Sandbox,
        merchant_id=VOICE.merchant_id,
        public_key=VOICE.public_key,
        private_key=VOICE.private_key,
    )
    return package.BraintreeGateway(configuration)


# Asking.


def answer_to(query, content, status=200):
    body = content if isinstance(content, bytes) else document("transaction", content)
    headers = {"Content-Type": "application/xml", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}
    return a_gateway().read_response(query, response_of((headers, body), status), now=NOW)


def test_a_query_is_that_of_the_package(the_package, monkeypatch):
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


def test_an_answer_finds_its_order_in_itself_and_else_in_the_query():
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
    assert [(each.field, each.word) for each in words] == [word]


def test_an_unknown_status_of_a_dispute_is_noted():
    with unknown_words() as words:
        assert events_of("dispute_opened", {"dispute": a_dispute(status="new")}) == ()
    assert [(word.field, word.word) for word in words] == [("dispute.status", "new")]


def test_a_sale_that_is_declined_once_it_was_settled_is_taken_back():
    def step(status, at):
        return ("status-event", {"status": status, "timestamp": at})

    history = [step("settled", "2026-10-04T10:00:00Z"), step("settlement_declined", "2026-10-05T10:00:00Z")]
    declined = SALE | {"status": "settlement_declined", "status-history": history}
    failed, reverse = answer_to(PAYMENT, declined).events
    assert (failed.kind, reverse.kind) == (Kind.PAYMENT_FAILED, Kind.PAYMENT_REVERSED)
    assert reverse.occurred_at == NOW - timedelta(hours=2)
    assert [event.kind for event in answer_to(PAYMENT, declined | {"status-history": history[1:]}).events] == [
        failed.kind
    ]
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
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_every_story_ends_as_the_template_says(template):
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, template)
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    events = delivered(gateway, SIMULATOR, signer, story, api)
    assert outcome_of(story, events) == truth_of(story)
    refunds = {event.refund_ref for event in story.events if event.event_type.startswith("refund_")}
    queries = [Query(about="payment", payment_ref=story.payment_ref)]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in sorted(refunds)]
    told = [event for query in queries for event in asked(gateway, api, query, NOW).events]
    if "subscribed" in template.name:  # authorized, as far as the books know
        assert [event.kind for event in told] == [Kind.PAYMENT_AUTHORIZED]
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
    pair = unquoted(dict(each.split("=") for each in body.decode().split("&"))["bt_signature"])
    digest = package.util.crypto.Crypto.sha1_hmac_hash(VOICE.private_key, payload)
    assert pair == f"{VOICE.public_key}|{digest}"
