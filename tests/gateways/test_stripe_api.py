"""Stripe: queries as the official package sends them, and lists of events."""

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
import stripe
from specimen import NOW
from stripe_api_factories import KEY, PAYMENT, REFUND, SEARCH, a_gateway, an_error, an_intent, answer_to, response, the

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.gateways.stripe.api import LISTED_TYPES
from tillkeeper.gateways.stripe.events import TYPES
from tillkeeper.sandbox.simulators.stripe.objects import (
    stripe_dispute,
    stripe_refund,
    stripe_session,
)
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body

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
        lambda each: each.query_request(PAYMENT, now=NOW, nonce="n"),
        lambda each: each.events_request(since=NOW, until=NOW, after=None),
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
    assert [(event.payment_ref, event.amount, event.discount) for event in answer.events] == [("pi_1", 10000, 2900)]
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
