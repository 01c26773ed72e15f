"""Stripe's events: thin ones, and whose an event is: of a mode, of an organization, of a connected account."""

import json

import pytest
import stripe
from specimen import NOW, request_of
from stripe_factories import SECRET, UNIX, a_gateway, an_intent, events_of, queries_of, with_api_key

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import ClaimedReferences, Query
from tillkeeper.sandbox.simulators.stripe.signing import stripe_signed

# Thin events.


def a_thin_event(event_type, related, **more):
    return {
        "id": "evt_test_65Thin",
        "object": "v2.core.event",
        "type": event_type,
        "created": "2026-10-05T11:59:58.123Z",
        "livemode": False,
        "context": None,
        "related_object": related,
    } | more


def queries_of_thin(thin, gateway=None):
    gateway = gateway or with_api_key()
    verified = gateway.verify(request_of(stripe_signed(SECRET, NOW, json.dumps(thin).encode())), NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


def related(sort, ref):
    return {"id": ref, "type": sort, "url": f"/v1/{sort}s/{ref}"}


@pytest.mark.parametrize(
    ("event_type", "sort", "ref", "query"),
    [
        ("v1.payment_intent.succeeded", "payment_intent", "pi_1", {"payment_ref": "pi_1"}),
        ("v1.charge.refunded", "charge", "ch_1", {"payment_ref": "ch_1"}),
        ("v1.checkout.session.completed", "checkout.session", "cs_1", {"payment_ref": "cs_1"}),
        ("v1.charge.dispute.created", "dispute", "du_1", {"payment_ref": "du_1"}),
        ("v1.refund.created", "refund", "re_1", {"about": "refund", "refund_ref": "re_1"}),
    ],
)
def test_a_thin_event_has_its_object_queried(event_type, sort, ref, query):
    thin = a_thin_event(event_type, related(sort, ref))
    notification = stripe.StripeClient("sk_test_x").parse_event_notification(*officially_signed(thin))
    assert notification.related_object.id == ref
    assert queries_of_thin(thin) == (Query(**{"about": "payment"} | query),)


def officially_signed(thin):
    body = json.dumps(thin)
    return body, stripe.WebhookSignature.generate_signature_header(body, SECRET, UNIX), SECRET, 10**10


def test_a_thin_event_about_what_never_was_made_is_itself_queried():
    thin = a_thin_event("v2.core.health.event_generation_failure.resolved", None)
    assert queries_of_thin(thin) == (Query(about="payment", payment_ref="evt_test_65Thin"),)


@pytest.mark.parametrize(
    ("event_type", "about"),
    [
        ("v2.core.event_destination.ping", related("event_destination", "ed_1")),
        ("v1.customer.created", related("customer", "cus_1")),
        ("v1.payment_intent.created", related("payment_intent", "pi_1")),
        ("v1.payment_intent.succeeded", related("something", "x_1")),
        ("v1.payment_intent.succeeded", None),
    ],
)
def test_a_thin_event_of_no_interest_queries_nothing(event_type, about):
    assert queries_of_thin(a_thin_event(event_type, about)) == ()


def test_a_thin_event_of_the_other_mode_is_refused():
    with pytest.raises(BadPayload, match="livemode"):
        queries_of_thin(a_thin_event("v1.payment_intent.succeeded", related("payment_intent", "pi_1"), livemode=True))


def test_a_thin_event_names_its_payment_to_whoever_cannot_verify_it():
    thin = a_thin_event("v1.payment_intent.succeeded", related("payment_intent", "pi_1"))
    assert a_gateway().claimed_references(request_of(({}, json.dumps(thin).encode()))) == ClaimedReferences(
        payment_ref="pi_1"
    )


# Mode.


@pytest.mark.parametrize("prefix", ["sk", "rk"])
@pytest.mark.parametrize(("mode", "livemode"), [("live", True), ("test", False)])
def test_the_api_key_tells_the_mode_and_the_other_is_refused(prefix, mode, livemode):
    gateway = a_gateway(api_key=f"{prefix}_{mode}_51abcdef")
    assert events_of("payment_intent.succeeded", an_intent(), gateway, livemode=livemode)
    for wrong in (not livemode, None, 0, 1, "true"):
        with pytest.raises(BadPayload, match="livemode"):
            events_of("payment_intent.succeeded", an_intent(), gateway, livemode=wrong)


@pytest.mark.parametrize("settings", [{}, {"api_key": "something else"}])
def test_without_a_telling_key_both_modes_are_taken(settings):
    for livemode in (True, False):
        assert events_of("payment_intent.succeeded", an_intent(), a_gateway(**settings), livemode=livemode)


def test_an_organizations_key_tells_the_mode():
    assert a_gateway(api_key="sk_org_live_51abcdef").live is True
    assert a_gateway(api_key="sk_org_test_51abcdef").live is False


# Organizations.


@pytest.mark.parametrize(
    ("settings", "event", "is_ours"),
    [
        ({}, {"context": None}, True),
        ({"account_id": "acct_1OURS"}, {}, True),
        ({"account_id": "acct_1OURS"}, {"context": "acct_1OURS"}, True),
        ({"account_id": "acct_1OURS"}, {"context": "acct_2"}, False),
        ({"account_id": "acct_1OURS"}, {"context": "acct_1OURS/acct_2", "account": "acct_2"}, False),
        ({}, {"context": "acct_1/acct_2"}, False),
        ({"connected_account": "acct_2"}, {"context": "acct_2"}, True),
        ({"connected_account": "acct_2"}, {"context": "acct_2", "account": "acct_2"}, True),
        ({"connected_account": "acct_2"}, {"context": "acct_1/acct_2", "account": "acct_2"}, True),
        ({"connected_account": "acct_2"}, {"context": "acct_2", "account": "acct_3"}, False),
        ({"connected_account": "acct_2"}, {"context": "acct_3"}, False),
        ({"connected_account": "acct_2"}, {}, False),
        ({"connected_account": "acct_2", "account_id": "acct_1"}, {"context": "acct_1/acct_2"}, True),
        ({"connected_account": "acct_2", "account_id": "acct_1"}, {"context": "acct_3/acct_2"}, False),
    ],
)
def test_an_event_of_another_account_of_the_organization_pays_nothing(settings, event, is_ours):
    gateway = with_api_key(**settings)
    assert len(events_of("payment_intent.succeeded", an_intent(), gateway, **event)) == is_ours
    assert queries_of("payment_intent.succeeded", an_intent(), gateway, **event) == ()
    thin = a_thin_event("v1.payment_intent.succeeded", related("payment_intent", "pi_1"))
    assert len(queries_of_thin(thin | event, gateway)) == is_ours


def test_where_it_is_not_set_which_account_is_ours_stripe_is_queried_with_our_key():
    expected = Query(about="payment", payment_ref="pi_1")
    told = {"context": "acct_1PERHAPS"}
    assert events_of("payment_intent.succeeded", an_intent(), with_api_key(), **told) == ()
    assert queries_of("payment_intent.succeeded", an_intent(), **told) == (expected,)
    assert queries_of("customer.created", {"id": "cus_1", "object": "customer"}, **told) == ()
    with pytest.raises(BadPayload, match="account_id"):
        events_of("payment_intent.succeeded", an_intent(), a_gateway(), **told)


# Connect.


def test_what_a_connected_account_did_pays_no_order_of_the_platforms():
    assert events_of("payment_intent.succeeded", an_intent(), account="acct_SOMEBODYELSE") == ()
    assert events_of("payment_intent.succeeded", an_intent(), account=None)


def test_the_connected_account_that_is_named_is_the_only_one_that_counts():
    gateway = a_gateway(connected_account="acct_1OURS")
    assert events_of("payment_intent.succeeded", an_intent(), gateway, account="acct_1OURS")
    for other in ("acct_1OUR", "acct_1ours", None):
        assert events_of("payment_intent.succeeded", an_intent(), gateway, account=other) == ()


def test_an_account_that_is_no_text_is_refused():
    with pytest.raises(BadPayload, match="account"):
        events_of("payment_intent.succeeded", an_intent(), account=["acct_1OURS"])
