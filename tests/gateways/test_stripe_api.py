"""Stripe's API: the official package builds the same requests; what every state of every object says, by table."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
import stripe
from specimen import NOW

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Answer, Query, Response
from tillkeeper.gateways.stripe.api import LISTED_TYPES
from tillkeeper.gateways.stripe.events import TYPES
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.gateways.stripe.states import CHARGE_STATES, INTENT_STATES
from tillkeeper.sandbox.simulators.stripe.objects import (
    stripe_charge,
    stripe_dispute,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
)
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body

KEY = "sk_test_51queries"
AT = NOW - timedelta(seconds=3)
DATE = "Mon, 05 Oct 2026 11:59:57 GMT"
CREATED = datetime.fromtimestamp(1_790_000_000, UTC)
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pi_1")
SEARCH = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="pi_1", refund_ref="re_1")


def a_gateway(**settings):
    base = {"gateway": "stripe", "webhook_secrets": ["whsec_of_queries"], "api_key": KEY}
    return Stripe("stripe-main", StripeSettings.model_validate(base | settings))


def response(content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status=status, headers={"date": [DATE]}, body=body)


def answer_to(query, content, *, status=200, gateway=None):
    return (gateway or a_gateway()).read_response(query, response(content, status), now=NOW)


def an_intent(**more):
    return stripe_payment_intent("pi_1", 12900, "usd", "ORDER-1", **more)


def a_charge(**more):
    return stripe_charge("ch_1", "pi_1", 12900, "usd", **more)


def about_charge(charge):
    return answer_to(Query(about="payment", order_ref="ORDER-1", payment_ref="ch_1"), charge)


def the(answer):
    (event,) = answer.events
    return event


# The official package sends the same requests.


class Recorder(stripe.HTTPClient):
    """Sends nothing, and remembers what it was to send."""

    name = "recorder"

    def request(self, method, url, headers, post_data=None):
        self.sent = (method, url, headers)
        return json.dumps({"object": "list", "data": [], "has_more": False}), 200, {}


EXPANDED = ["latest_charge", "latest_charge.refunds"]
SESSION_EXPANDED = ["payment_intent", "payment_intent.latest_charge", "payment_intent.latest_charge.refunds"]


@pytest.mark.parametrize(
    ("query", "officially"),
    [
        (PAYMENT, lambda v1: v1.payment_intents.retrieve("pi_1", {"expand": EXPANDED})),
        (
            Query(about="payment", order_ref="ORDER-1", payment_ref="ch_1"),
            lambda v1: v1.charges.retrieve("ch_1", {"expand": ["refunds", "payment_intent"]}),
        ),
        (
            Query(about="payment", order_ref="ORDER-1", payment_ref="cs_test_1"),
            lambda v1: v1.checkout.sessions.retrieve("cs_test_1", {"expand": SESSION_EXPANDED}),
        ),
        (REFUND, lambda v1: v1.refunds.retrieve("re_1")),
        (Query(about="payment", payment_ref="du_1"), lambda v1: v1.disputes.retrieve("du_1")),
        (
            Query(about="payment", payment_ref="session of pi_1"),
            lambda v1: v1.checkout.sessions.list(
                {"payment_intent": "pi_1", "limit": 1, "expand": [f"data.{name}" for name in SESSION_EXPANDED]}
            ),
        ),
        (
            Query(about="payment", order_ref='O"R\\D&1'),
            lambda v1: v1.payment_intents.search(
                {
                    "query": 'metadata["order_id"]:"O\\"R\\\\D&1"',
                    "limit": 100,
                    "expand": [f"data.{name}" for name in EXPANDED],
                }
            ),
        ),
    ],
    ids=["intent", "charge", "session", "refund", "dispute", "session of an intent", "search"],
)
def test_the_official_package_sends_the_same_request(query, officially):
    recorder = Recorder()
    officially(stripe.StripeClient(KEY, http_client=recorder).v1)
    method, url, headers = recorder.sent
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert call.method == method.upper()
    assert same_place(call.url, url)
    assert call.headers["Authorization"] == headers["Authorization"] == f"Bearer {KEY}"
    assert call.body == b""


def same_place(ours, theirs):
    """The same path, and the same parameters; the package numbers the items of a list."""
    one, other = urlsplit(ours), urlsplit(theirs)
    return one[:3] == other[:3] and parameters(one.query) == parameters(other.query)


def parameters(query):
    return sorted(
        ("".join("[]" if part.isdigit() else f"[{part}]" for part in name.replace("]", "").split("[")), value)
        for name, value in parse_qsl(query.replace("%5B%5D", "%5B0%5D"), strict_parsing=True)
    )


def test_the_official_package_lists_the_same_events():
    recorder = Recorder()
    since = NOW - timedelta(hours=6)
    stripe.StripeClient(KEY, http_client=recorder).v1.events.list(
        {
            "limit": 100,
            "created": {"gte": int(since.timestamp()), "lte": int(NOW.timestamp())},
            "types": list(LISTED_TYPES),
            "starting_after": "evt_7",
        }
    )
    assert same_place(a_gateway().events_request(since=since, until=NOW, after="evt_7").url, recorder.sent[1])


def test_the_version_is_pinned_so_that_objects_look_as_they_are_read():
    assert a_gateway().query_request(PAYMENT, now=NOW, nonce="n").headers["Stripe-Version"] == "2025-09-30.clover"


# What can be queried.


def test_a_payment_without_a_reference_is_searched_for_where_its_order_stands_in_metadata():
    call = a_gateway(order_ref_path="metadata.shop.order").query_request
    with pytest.raises(CannotQuery, match="metadata"):
        call(SEARCH, now=NOW, nonce="n")
    url = a_gateway(order_ref_path="metadata.cart").query_request(SEARCH, now=NOW, nonce="n").url
    assert dict(parse_qsl(urlsplit(url).query))["query"] == 'metadata["cart"]:"ORDER-1"'
    with pytest.raises(CannotQuery, match="metadata"):
        a_gateway(order_ref_path="client_reference_id").query_request(SEARCH, now=NOW, nonce="n")


@pytest.mark.parametrize("ref", ["src_1", "in_1", "pi", "pi_1/../x", "ch_ 1", "session of pi_ 1"])
def test_a_reference_of_another_sort_cannot_be_queried(ref):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment", order_ref="O", payment_ref=ref), now=NOW, nonce="n")


def test_without_an_api_key_nothing_can_be_queried():
    for request in (
        lambda it: it.query_request(PAYMENT, now=NOW, nonce="n"),
        lambda it: it.events_request(since=NOW, until=NOW, after=None),
    ):
        with pytest.raises(CannotQuery, match="api_key"):
            request(a_gateway(api_key=None))


def test_a_connected_account_is_queried_on_its_behalf():
    recorder = Recorder()
    client = stripe.StripeClient(KEY, http_client=recorder, stripe_account="acct_1OURS")
    client.v1.payment_intents.retrieve("pi_1")
    gateway = a_gateway(connected_account="acct_1OURS")
    for call in (
        gateway.query_request(PAYMENT, now=NOW, nonce="n"),
        gateway.events_request(since=NOW, until=NOW, after=None),
    ):
        assert call.headers["Stripe-Account"] == recorder.sent[2]["Stripe-Account"] == "acct_1OURS"
    assert "Stripe-Account" not in a_gateway().query_request(PAYMENT, now=NOW, nonce="n").headers


def test_an_organizations_key_queries_in_the_context_of_the_account():
    recorder = Recorder()
    key = "sk_org_test_1"
    client = stripe.StripeClient(key, http_client=recorder, stripe_context="acct_1")
    client.v1.payment_intents.retrieve("pi_1")
    headers = a_gateway(api_key=key, account_id="acct_1").query_request(PAYMENT, now=NOW, nonce="n").headers
    assert headers["Stripe-Context"] == recorder.sent[2]["Stripe-Context"] == "acct_1"
    both = a_gateway(api_key=key, account_id="acct_1", connected_account="acct_2")
    assert both.query_request(PAYMENT, now=NOW, nonce="n").headers["Stripe-Context"] == "acct_1/acct_2"


# What the states say.


@pytest.mark.parametrize(
    ("status", "more", "kind", "amount", "failure"),
    [
        ("requires_payment_method", {}, None, None, None),
        (
            "requires_payment_method",
            {"last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"}},
            Kind.PAYMENT_FAILED,
            12900,
            FailureClass.INSUFFICIENT_FUNDS,
        ),
        ("requires_confirmation", {}, None, None, None),
        ("requires_action", {"next_action": {"type": "redirect_to_url"}}, None, None, None),
        ("processing", {}, Kind.PAYMENT_PENDING, 12900, None),
        ("requires_capture", {"amount_capturable": 9000}, Kind.PAYMENT_AUTHORIZED, 9000, None),
        ("canceled", {"cancellation_reason": "abandoned"}, Kind.PAYMENT_CANCELLED, 12900, FailureClass.EXPIRED_UNPAID),
        ("canceled", {}, Kind.PAYMENT_CANCELLED, 12900, FailureClass.UNKNOWN),
        ("succeeded", {"amount_received": 9000}, Kind.PAYMENT_SUCCEEDED, 9000, None),
    ],
)
def test_what_an_intent_says_of_its_payment(status, more, kind, amount, failure):
    answer = answer_to(PAYMENT, an_intent(status=status, **more))
    assert answer.found
    if kind is None:
        assert answer.events == ()
        return
    event = the(answer)
    assert (event.kind, event.amount, event.currency, event.failure) == (kind, amount, "USD", failure)
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "pi_1")
    assert (event.occurred_at, event.evidence) == (AT, Evidence.QUERY)
    assert event.event_id == f"query:pi_1:{kind}:20261005T115957Z:{amount}"


def test_every_state_is_tested_here():
    assert len(INTENT_STATES) == 7
    assert len(CHARGE_STATES) == 3


def test_a_success_has_the_time_of_its_charge_and_a_cancellation_its_own():
    assert the(answer_to(PAYMENT, an_intent(latest_charge=a_charge()))).occurred_at == CREATED
    cancelled = an_intent(status="canceled", canceled_at=1_790_000_005, latest_charge=a_charge(captured=False))
    assert the(answer_to(PAYMENT, cancelled)).occurred_at == CREATED + timedelta(seconds=5)


def test_a_failure_has_the_time_of_the_answer_for_its_charge_may_be_days_older():
    failed = an_intent(
        status="requires_payment_method",
        last_payment_error={"code": "processing_error"},
        latest_charge=a_charge(status="failed", captured=False),
    )
    assert the(answer_to(PAYMENT, failed)).occurred_at == AT


def test_the_order_is_the_answers_and_only_for_want_of_one_the_questions():
    assert the(answer_to(PAYMENT, an_intent(metadata={"order_id": "ORDER-2"}))).order_ref == "ORDER-2"
    assert the(answer_to(PAYMENT, an_intent(metadata={}))).order_ref == "ORDER-1"


@pytest.mark.parametrize(
    ("more", "method"),
    [
        ({"payment_method_types": ["card", "link"]}, None),
        ({"payment_method_types": ["sepa_debit"]}, "sepa_debit"),
        ({"payment_method_types": ["sepa_debit"], "latest_charge": a_charge()}, "card"),
        ({"payment_method_types": "card"}, None),
        ({"payment_method_types": [7]}, None),
        ({"payment_method_types": [""]}, None),
        ({"payment_method_types": []}, None),
        ({"payment_method_types": ["x" * 65]}, None),
    ],
)
def test_the_method_is_known_where_there_is_no_doubt(more, method):
    assert the(answer_to(PAYMENT, an_intent(**more))).method == method


def test_what_was_given_back_comes_as_total_and_refund_by_refund():
    refunds = [
        stripe_refund("re_1", "pi_1", 400, "usd"),
        stripe_refund("re_2", "pi_1", 100, "usd", status="pending"),
        stripe_refund("re_3", "pi_1", 200, "usd", status="failed", failure_reason="unknown"),
    ]
    charge = a_charge(amount_refunded=500, refunds={"object": "list", "data": refunds})
    payment, total, *each = answer_to(PAYMENT, an_intent(latest_charge=charge)).events
    assert payment.kind is Kind.PAYMENT_SUCCEEDED
    assert (total.kind, total.total, total.amount, total.refund_ref) == (Kind.REFUND_SUCCEEDED, 500, None, None)
    assert (total.payment_ref, total.occurred_at) == ("pi_1", AT)
    assert [(it.refund_ref, it.kind, it.amount) for it in each] == [
        ("re_1", Kind.REFUND_SUCCEEDED, 400),
        ("re_2", Kind.REFUND_PENDING, 100),
        ("re_3", Kind.REFUND_FAILED, 200),
    ]
    assert [it.occurred_at for it in each] == [CREATED, CREATED, AT]
    assert {it.order_ref for it in each} == {"ORDER-1"}


@pytest.mark.parametrize(
    ("more", "given_back"),
    [
        ({"amount_captured": 9000, "amount_refunded": 4900}, [(4900, None), (None, "re_1"), (None, "re_2")]),
        # As it was counted until release basil, whatever the version of the answer: one of them is no refund.
        (
            {"amount_captured": 9000, "amount_refunded": 12900, "refunded": True},
            [(9000, None), (None, "re_1", True), (None, "re_2")],
        ),
        (
            {"captured": False, "amount_captured": 0, "amount_refunded": 3900},
            [],
        ),
    ],
)
def test_what_was_let_go_uncaptured_is_no_refund(more, given_back):
    refunds = [stripe_refund("re_1", "pi_1", 3900, "usd"), stripe_refund("re_2", "pi_1", 1000, "usd")]
    charge = a_charge(refunds={"object": "list", "data": refunds}, **more)
    payment, *back = answer_to(PAYMENT, an_intent(latest_charge=charge)).events
    assert payment.kind is Kind.PAYMENT_SUCCEEDED
    assert [(it.total, it.refund_ref, it.may_be_release) for it in back] == [(*it, False)[:3] for it in given_back]


@pytest.mark.parametrize(("status", "kind"), [("under_review", Kind.DISPUTE_OPENED), ("lost", Kind.DISPUTE_LOST)])
def test_a_dispute_shows_where_it_can_be_seen(status, kind):
    dispute = stripe_dispute("du_1", "pi_1", 12900, "usd", status=status)
    _, event = answer_to(PAYMENT, an_intent(latest_charge=a_charge(disputed=True, dispute=dispute))).events
    assert (event.kind, event.dispute_ref, event.amount) == (kind, "du_1", 12900)
    assert event.event_id.startswith("query:du_1:")
    assert len(answer_to(PAYMENT, an_intent(latest_charge=a_charge(disputed=True, dispute="du_1"))).events) == 1


UNIX = int(AT.timestamp())
AUTHORIZED_UNTIL = {"payment_method_details": {"type": "card", "card": {"capture_before": UNIX + 1}}}
RAN_OUT = {"payment_method_details": {"type": "card", "card": {"capture_before": UNIX - 1}}}


def test_a_charge_leaves_the_word_to_its_intent_for_it_does_not_tell_that_it_was_let_go():
    intent = an_intent(status="canceled", canceled_at=1_790_000_005, latest_charge="ch_1")
    event = the(about_charge(a_charge(captured=False, amount_captured=0, payment_intent=intent)))
    assert (event.kind, event.payment_ref) == (Kind.PAYMENT_CANCELLED, "pi_1")


def test_a_bank_debit_that_failed_once_it_was_credited_is_taken_back():
    charge = a_charge(status="failed", failure_balance_transaction="txn_back")
    error = {"code": "insufficient_funds"}
    failed = an_intent(status="requires_payment_method", last_payment_error=error, latest_charge=charge)
    kinds = [Kind.PAYMENT_FAILED, Kind.PAYMENT_REVERSED]
    assert [it.kind for it in answer_to(PAYMENT, failed).events] == kinds
    assert [it.kind for it in about_charge(charge).events] == kinds


@pytest.mark.parametrize(
    ("more", "kind", "amount", "at"),
    [
        ({}, Kind.PAYMENT_SUCCEEDED, 12900, CREATED),
        ({"amount_captured": 9000}, Kind.PAYMENT_SUCCEEDED, 9000, CREATED),
        ({"captured": False, "amount_captured": 0}, Kind.PAYMENT_AUTHORIZED, 12900, AT),
        ({"captured": False, "amount_captured": 0, "refunded": True}, Kind.PAYMENT_CANCELLED, 12900, AT),
        (AUTHORIZED_UNTIL | {"captured": False, "amount_captured": 0}, Kind.PAYMENT_AUTHORIZED, 12900, AT),
        (RAN_OUT | {"captured": False, "amount_captured": 0}, Kind.PAYMENT_CANCELLED, 12900, AT),
        ({"status": "pending", "captured": False}, Kind.PAYMENT_PENDING, 12900, AT),
        (
            {"status": "failed", "captured": False, "failure_code": "expired_card"},
            Kind.PAYMENT_FAILED,
            12900,
            AT,
        ),
    ],
)
def test_what_a_charge_says_of_its_payment(more, kind, amount, at):
    event = the(about_charge(a_charge(**more)))
    assert (event.kind, event.amount, event.occurred_at, event.payment_ref) == (kind, amount, at, "pi_1")
    assert event.method == "card"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"status": "open", "payment_status": "unpaid"}, None),
        ({"status": "complete"}, Kind.PAYMENT_SUCCEEDED),
        ({"status": "complete", "payment_status": "unpaid"}, Kind.PAYMENT_PENDING),
        ({"status": "complete", "mode": "setup"}, None),
        ({"status": "expired", "payment_status": "unpaid"}, Kind.PAYMENT_CANCELLED),
        ({"status": "expired", "mode": "setup", "amount_total": None}, None),
    ],
)
def test_what_a_session_says_of_its_payment(more, kind):
    query = Query(about="payment", order_ref="ORDER-1", payment_ref="cs_1")
    answer = answer_to(query, stripe_session("cs_1", None, 12900, "usd", **more))
    assert answer.found
    assert [event.kind for event in answer.events] == ([] if kind is None else [kind])
    assert all(event.payment_ref == "cs_1" for event in answer.events)


def test_a_session_leaves_the_word_to_its_intent():
    query = Query(about="payment", order_ref="ORDER-9", payment_ref="cs_1")
    intent = an_intent(metadata={}, status="processing")
    session = stripe_session("cs_1", None, 12900, "usd", payment_intent=intent, client_reference_id="ORDER-1")
    event = the(answer_to(query, session))
    assert (event.kind, event.payment_ref, event.order_ref) == (Kind.PAYMENT_PENDING, "pi_1", "ORDER-1")


@pytest.mark.parametrize(
    ("status", "kind", "at"),
    [
        ("pending", Kind.REFUND_PENDING, CREATED),
        ("requires_action", Kind.REFUND_PENDING, CREATED),
        ("succeeded", Kind.REFUND_SUCCEEDED, CREATED),
        ("failed", Kind.REFUND_FAILED, AT),
        ("canceled", Kind.REFUND_FAILED, AT),
    ],
)
def test_a_refund_began_when_it_was_made_and_failed_by_when_that_was_reported(status, kind, at):
    event = the(answer_to(REFUND, stripe_refund("re_1", "pi_1", 400, "usd", status=status)))
    assert (event.kind, event.amount, event.refund_ref, event.payment_ref) == (kind, 400, "re_1", "pi_1")
    assert (event.occurred_at, event.method) == (at, None)


def test_an_amount_is_read_in_stripes_own_units():
    isk = stripe_payment_intent("pi_1", 12900, "isk", "ORDER-1")
    assert (the(answer_to(PAYMENT, isk)).amount, the(answer_to(PAYMENT, isk)).currency) == (129, "ISK")


# Searching.


def test_every_attempt_to_pay_an_order_is_found():
    attempts = [
        an_intent(status="requires_payment_method", last_payment_error={"code": "expired_card"}),
        stripe_payment_intent("pi_2", 12900, "usd", "ORDER-1"),
    ]
    answer = answer_to(SEARCH, {"object": "search_result", "data": attempts})
    assert answer == Answer(
        found=True, also=tuple(Query(about="payment", order_ref="ORDER-1", payment_ref=f"pi_{it}") for it in (1, 2))
    )


def test_a_search_lags_so_it_tells_only_what_has_a_date():
    cancelled = an_intent(status="canceled", canceled_at=1_790_000_005)
    paid = stripe_payment_intent("pi_2", 12900, "usd", "ORDER-1", latest_charge=a_charge(payment_intent="pi_2"))
    held = stripe_payment_intent("pi_3", 12900, "usd", "ORDER-1", status="requires_capture", amount_capturable=12900)
    events = answer_to(SEARCH, {"object": "search_result", "data": [cancelled, paid, held]}).events
    assert [(it.payment_ref, it.kind, it.occurred_at, it.as_of) for it in events] == [
        ("pi_1", Kind.PAYMENT_CANCELLED, CREATED + timedelta(seconds=5), CREATED + timedelta(seconds=5)),
        ("pi_2", Kind.PAYMENT_SUCCEEDED, CREATED, CREATED),
    ]


def test_what_a_search_finds_counts_only_for_the_very_order():
    others = {"object": "search_result", "data": [stripe_payment_intent("pi_2", 1, "usd", "order-1")]}
    assert answer_to(SEARCH, others) == Answer(found=False)
    assert answer_to(SEARCH, {"object": "search_result", "data": []}) == Answer(found=False)


# What is no answer.


def an_error(code, **more):
    return {"error": {"type": "invalid_request_error", "code": code, "message": "No such thing: 'pi_1'"} | more}


def test_a_missing_resource_is_not_found_and_not_failed():
    assert answer_to(PAYMENT, an_error("resource_missing"), status=404) == Answer(found=False)


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (401, an_error(None), AccessDenied),
        (403, an_error("platform_account_required"), AccessDenied),
        (409, an_error("idempotency_key_in_use"), Unavailable),
        (424, an_error(None), Unavailable),
        (429, an_error("rate_limit"), Unavailable),
        (429, an_error("lock_timeout"), Unavailable),
        (400, an_error("lock_timeout"), Unavailable),
        (500, b"<html>", Unavailable),
        (503, b"", Unavailable),
        (400, an_error("parameter_unknown"), BadPayload),
        (404, b"<html>", BadPayload),
        (404, an_error("url_invalid"), BadPayload),
        (404, {"error": "resource_missing"}, BadPayload),
        (302, b"", BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is(status, content, error):
    with pytest.raises(error) as caught:
        answer_to(PAYMENT, content, status=status)
    assert "pi_1" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, an_intent(id="pi_2")),
        (PAYMENT, an_intent(object="invoice")),
        (PAYMENT, an_intent(livemode=True)),
        (PAYMENT, an_intent(latest_charge=a_charge(refunds={"data": {}}))),
        (PAYMENT, an_intent(latest_charge=a_charge(created=-1))),
        (PAYMENT, an_intent(metadata={"order_id": "x" * 256})),
        (REFUND, stripe_refund("re_2", "pi_1", 400, "usd")),
        (SEARCH, {"data": {}}),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(query, content):
    with pytest.raises(BadPayload):
        answer_to(query, content)


@pytest.mark.parametrize(
    ("query", "content", "field", "word"),
    [
        (PAYMENT, an_intent(status="odd"), "payment_intent.status", "odd"),
        (PAYMENT, an_intent(currency="xxx"), "currency", "XXX"),
        (Query(about="payment", payment_ref="ch_1"), a_charge(status="odd"), "charge.status", "odd"),
        (
            Query(about="payment", payment_ref="cs_1"),
            stripe_session("cs_1", None, 1, "usd", status="odd"),
            "session.status",
            "odd",
        ),
        (REFUND, stripe_refund("re_1", "pi_1", 400, "usd", status="odd"), "refund.status", "odd"),
        (
            Query(about="payment", payment_ref="du_1"),
            stripe_dispute("du_1", "pi_1", 1, "usd", status="odd"),
            "dispute.status",
            "odd",
        ),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(query, content, field, word):
    with unknown_words() as words:
        answer = answer_to(query, content)
    assert (answer.found, answer.events) == (True, ())
    assert [(it.field, it.word) for it in words] == [(field, word)]


# What is queried besides.


def test_a_dispute_can_be_queried():
    dispute = stripe_dispute("du_1", "pi_1", 12900, "usd", status="lost")
    event = the(answer_to(Query(about="payment", payment_ref="du_1"), dispute))
    assert (event.kind, event.dispute_ref, event.payment_ref) == (Kind.DISPUTE_LOST, "du_1", "pi_1")


def test_a_refund_queried_alone_has_its_payment_queried():
    alone = Query(about="refund", refund_ref="re_1")
    answer = answer_to(alone, stripe_refund("re_1", "pi_1", 400, "usd"))
    assert answer.also == (Query(about="payment", payment_ref="pi_1"),)
    assert answer_to(REFUND, stripe_refund("re_1", "pi_1", 400, "usd")).also == ()


OF_SESSION = Query(about="payment", order_ref="ORDER-1", payment_ref="session of pi_1")


def test_an_intent_that_was_paid_has_its_session_queried_for_only_that_tells_of_coupons():
    assert answer_to(PAYMENT, an_intent()).also == (OF_SESSION,)
    assert answer_to(PAYMENT, an_intent(status="processing")).also == ()


@pytest.mark.parametrize(("due", "queries"), [(12900, False), (12800, False), (12901, True)])
def test_where_all_that_is_due_came_in_no_coupon_is_looked_for(due, queries):
    query = msgspec.structs.replace(PAYMENT, amount_due=due)
    assert answer_to(query, an_intent()).also == ((OF_SESSION,) if queries else ())


@pytest.mark.parametrize("intent", ["pi_1", an_intent(amount_received=10000)])
def test_a_session_tells_what_a_coupon_took_off(intent):
    session = stripe_session("cs_1", None, 10000, "usd", payment_intent=intent, total_details={"amount_discount": 2900})
    answer = answer_to(OF_SESSION, {"object": "list", "data": [session]})
    assert [(it.payment_ref, it.amount, it.discount) for it in answer.events] == [("pi_1", 10000, 2900)]
    session["total_details"] = None
    assert answer_to(OF_SESSION, {"object": "list", "data": [session]}).events == ()
    session["payment_intent"] = "pi_2"
    assert answer_to(OF_SESSION, {"object": "list", "data": [session]}) == Answer(found=False)


@pytest.mark.parametrize(("status", "content"), [(404, b"<html>"), (403, b""), (500, b""), (404, None)])
def test_no_answer_about_a_session_is_none(status, content):
    content = an_error("resource_missing") if content is None else content
    assert answer_to(OF_SESSION, content, status=status) == Answer(found=False)


NEVER_MADE = Query(about="payment", payment_ref="evt_1")


def never_made(sort="payment_intent", **impact):
    related = {"id": "pi_1", "type": sort, "url": "https://dashboard.stripe.com/payment_intents/pi_1"}
    data = {"impact": {"event_type": "payment_intent.succeeded", "related_object": related} | impact}
    return {"id": "evt_1", "object": "v2.core.event", "type": "v2.core.health.x", "data": data}


def test_the_object_of_an_event_that_stripe_could_not_make_is_queried():
    url = a_gateway().query_request(NEVER_MADE, now=NOW, nonce="n").url
    assert url == "https://api.stripe.com/v2/core/events/evt_1"
    expected = Answer(found=True, also=(Query(about="payment", payment_ref="pi_1"),))
    assert answer_to(NEVER_MADE, never_made()) == expected
    assert answer_to(NEVER_MADE, never_made("customer")) == Answer(found=True)
    ours = a_gateway(account_id="acct_1")
    assert answer_to(NEVER_MADE, never_made(context="acct_2"), gateway=ours) == Answer(found=True)


# The list of events.


def an_event(number, event_type="payment_intent.succeeded", subject=None, **more):
    body = stripe_body(NOW, event_type, subject or an_intent(), id=f"evt_{number}", **more)
    return json.loads(body)


def page_of(*events, has_more=False):
    return a_gateway().read_events(response({"object": "list", "data": list(events), "has_more": has_more}))


def test_listed_events_are_those_of_the_webhooks_but_for_their_evidence():
    event = the(page_of(an_event(7)))
    assert (event.event_id, event.evidence, event.occurred_at) == ("evt_7", Evidence.QUERY, NOW)
    assert (event.kind, event.order_ref, event.amount) == (Kind.PAYMENT_SUCCEEDED, "ORDER-1", 12900)


def test_a_page_tells_where_the_next_begins():
    assert page_of(an_event(1), an_event(2), has_more=True).after == "evt_2"
    assert page_of(an_event(1), an_event(2)).after is None
    assert page_of(has_more=True).after is None


def test_an_event_that_cannot_be_read_hides_no_other():
    page = page_of(
        an_event(1),
        an_event(2, subject=an_intent(amount_received=-1)),
        an_event(3, "customer.created", {"id": "cus_1"}),
        an_event(4, livemode=True),
        7,
        an_event(5),
    )
    assert [event.event_id for event in page.events] == ["evt_1", "evt_5"]
    assert page.unread == 3


def test_the_list_of_one_account_is_not_another_ones():
    listed = {"object": "list", "data": [an_event(1), an_event(2, account="acct_1OURS"), an_event(3, account="acct_2")]}
    for ours, ids in ((None, ["evt_1"]), ("acct_1OURS", ["evt_1", "evt_2"])):
        page = a_gateway(connected_account=ours).read_events(response(listed))
        assert [event.event_id for event in page.events] == ids
        assert page.unread == 0


def test_the_types_listed_are_known_and_as_many_as_stripe_filters_by():
    assert set(LISTED_TYPES) <= set(TYPES)
    assert len(set(LISTED_TYPES)) == 20


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (404, an_error("resource_missing"), BadPayload),
        (401, {}, AccessDenied),
        (429, {}, Unavailable),
        (200, {}, BadPayload),
    ],
)
def test_a_list_that_does_not_come_says_why(status, content, error):
    with pytest.raises(error):
        a_gateway().read_events(response(content, status))
