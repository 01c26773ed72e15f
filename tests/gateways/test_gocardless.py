"""GoCardless: signatures and deliveries."""

import pytest
from gocardless_factories import PAYMENT, REFUND, SECRET, a_gateway, an_event, answered, delivered, response
from gocardless_pro import webhooks
from gocardless_pro.errors import InvalidSignatureError
from specimen import NOW, request_of, with_header

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.gocardless.objects import ACTIONS
from tillkeeper.gateways.gocardless.webhook import EVENTS_MAX
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import ClaimedReferences, Query
from tillkeeper.sandbox.simulators.gocardless.objects import gocardless_event, gocardless_refund
from tillkeeper.sandbox.simulators.gocardless.signing import gocardless_body, gocardless_signed

OLDER = "the_older_endpoints_secret"


def a_refund_event(action, *, event_id="EV9", ref="RF1"):
    return gocardless_event(event_id, NOW, "refunds", action, links={"refund": ref})


# --- the signature ----------------------------------------------------------------------------------------------------


def test_the_official_package_takes_what_the_sandbox_signs_and_reads_the_same():
    headers, body = gocardless_signed(SECRET, gocardless_body(an_event("confirmed"), a_refund_event("paid")))
    events = webhooks.parse(body, SECRET, headers["Webhook-Signature"])
    assert [(event.id, event.resource_type, event.action) for event in events] == [
        ("EV1", "payments", "confirmed"),
        ("EV9", "refunds", "paid"),
    ]
    assert events[0].links.payment == "PM1"
    with pytest.raises(InvalidSignatureError):
        webhooks.parse(body, OLDER, headers["Webhook-Signature"])


def test_the_packages_own_vector_is_verified():
    """Secret, body and signature of the package's tests."""
    secret = "ED7D658C-D8EB-4941-948B-3973214F2D49"
    body = b'{"events":[{"id":"EV00BD05S5VM2T","created_at":"2018-07-05T09:13:51.404Z","resource_type":"subscriptions","action":"created","links":{"subscription":"SB0003JJQ2MR06"},"details":{"origin":"api","cause":"subscription_created","description":"Subscription created via the API."},"metadata":{}},{"id":"EV00BD05TB8K63","created_at":"2018-07-05T09:13:56.893Z","resource_type":"mandates","action":"created","links":{"mandate":"MD000AMA19XGEC"},"details":{"origin":"api","cause":"mandate_created","description":"Mandate created via the API."},"metadata":{}}]}'  # noqa: E501
    signature = "2693754819d3e32d7e8fcb13c729631f316c6de8dc1cf634d6527f1c07276e7e"
    gateway = a_gateway(webhook_secrets=[secret])
    request = request_of(({"Webhook-Signature": signature}, body))
    verified = gateway.verify(request, NOW)
    assert gateway.parse(verified) == ()
    assert gateway.queries_for(verified) == ()


def test_either_of_two_secrets_fits_and_is_named():
    gateway = a_gateway(webhook_secrets=[SECRET, OLDER])
    for at, secret in enumerate((SECRET, OLDER)):
        label = gateway.verify(request_of(gocardless_signed(secret, gocardless_body())), NOW).key
        assert label.startswith(f"webhook_secrets[{at}]")


def test_a_signature_in_capitals_is_refused():
    request = request_of(gocardless_signed(SECRET, gocardless_body()))
    with pytest.raises(BadSignature):
        a_gateway().verify(
            with_header(request, "webhook-signature", [request.header("webhook-signature").upper()]), NOW
        )


# --- deliveries -------------------------------------------------------------------------------------------------------

DIRECT = {
    "created": (Kind.PAYMENT_PENDING, None),
    "customer_approval_granted": (Kind.PAYMENT_PENDING, None),
    "customer_approval_denied": (Kind.PAYMENT_CANCELLED, None),
    "submitted": (Kind.PAYMENT_PENDING, None),
    "resubmission_requested": (Kind.PAYMENT_PENDING, None),
    "cancelled": (Kind.PAYMENT_CANCELLED, None),
    "charged_back": (Kind.DISPUTE_OPENED, "PM1:chargeback"),
    "chargeback_cancelled": (Kind.DISPUTE_WON, "PM1:chargeback"),
    "chargeback_settled": (Kind.DISPUTE_LOST, "PM1:chargeback"),
}


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_action_is_an_event_where_it_says_all_and_else_a_query(action):
    events, queries = delivered(an_event(action, cause="refund_requested", scheme="bacs"))
    if action not in DIRECT:
        assert (events, queries) == ((), (PAYMENT,))
        return
    kind, dispute_ref = DIRECT[action]
    (event,) = events
    assert queries == ()
    assert (event.event_id, event.kind, event.dispute_ref) == ("EV1", kind, dispute_ref)
    assert (event.order_ref, event.payment_ref, event.occurred_at) == ("ORDER-1", "PM1", NOW)
    assert (event.amount, event.currency) == (None, None)
    assert event.method == ("bacs" if kind.is_payment else None)
    assert (event.failure is not None) is (kind is Kind.PAYMENT_CANCELLED)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_whatever_does_not_name_its_order_is_queried(action):
    assert delivered(an_event(action, order_ref=None)) == ((), (PAYMENT,))


@pytest.mark.parametrize(
    ("event", "queries", "noted"),
    [
        (an_event("of next year"), (), ("action of a payment", "of next year")),
        (a_refund_event("of next year"), (REFUND,), ("action of a refund", "of next year")),
    ],
)
def test_an_action_that_nobody_knows_is_noted_and_refuses_nothing(event, queries, noted):
    with unknown_words() as words:
        assert delivered(event) == ((), queries)
    assert [(word.field, word.word) for word in words] == [noted]


def a_melted_refund():
    return gocardless_refund("RF1", "PM1", 400, "EUR", status="of next year")


def test_a_status_that_nobody_knows_is_noted_and_what_is_known_counts():
    with unknown_words() as words:
        (event,) = answered(an_event("confirmed"), status="of next year")
        assert a_gateway().read_response(REFUND, response({"refunds": a_melted_refund()}), now=NOW).events == ()
    assert event.kind is Kind.PAYMENT_SUCCEEDED
    assert [word.field for word in words] == ["status of a payment", "status of a refund"]


@pytest.mark.parametrize(
    "event",
    [
        an_event("surcharge_fee_debited"),
        gocardless_event("EV1", NOW, "mandates", "active", links={"mandate": "MD1"}),
        gocardless_event("EV1", NOW, "payouts", "paid", links={"payout": "PO1"}),
    ],
)
def test_what_is_of_no_interest_or_unknown_is_taken_and_changes_nothing(event):
    assert delivered(event) == ((), ())


def test_many_events_of_one_payment_are_one_query():
    events, queries = delivered(
        an_event("confirmed", event_id="EV1"),
        an_event("paid_out", event_id="EV2"),
        an_event("confirmed", event_id="EV3", ref="PM2"),
        a_refund_event("created", event_id="EV4"),
        a_refund_event("paid", event_id="EV5"),
    )
    assert events == ()
    assert queries == (PAYMENT, Query(about="payment", payment_ref="PM2"), REFUND)


def test_each_event_of_a_delivery_has_its_own_id_and_a_repeated_one_is_one():
    submitted = an_event("submitted", event_id="EV2")
    events, _ = delivered(an_event("created", event_id="EV1"), submitted, submitted)
    assert [event.event_id for event in events] == ["EV1", "EV2"]


def test_as_many_events_as_gocardless_sends_are_taken():
    events, queries = delivered(
        *(an_event("submitted", event_id=f"EV{at}") for at in range(125)),
        *(an_event("confirmed", ref=f"PM{at}", event_id=f"EVC{at}") for at in range(125)),
    )
    assert (len(events), len(queries)) == (125, 125)
    with pytest.raises(BadPayload, match="more than"):
        delivered(*(an_event("submitted") for _ in range(EVENTS_MAX + 1)))


@pytest.mark.parametrize("ref", ["../payments", "PM 1", "PM/1", "é", "P" * 65])
def test_a_reference_of_another_shape_is_refused(ref):
    for event in (an_event("confirmed", ref=ref), a_refund_event("paid", ref=ref)):
        with pytest.raises(BadPayload):
            delivered(event)


def test_an_event_that_says_nothing_sound_is_refused():
    with pytest.raises(BadPayload, match="1 to 255"):
        delivered(an_event("created", order_ref="x" * 300))
    with pytest.raises(BadPayload, match="links"):
        delivered(an_event("created") | {"links": {}})


@pytest.mark.parametrize("organisation", [None, "OR1", "OR2"])
def test_events_of_another_organisation_change_nothing(organisation):
    gateway, counts = a_gateway(organisation=organisation), organisation != "OR2"
    links = {"payment": "PM1", "organisation": "OR1"}
    events, queries = delivered(
        an_event("created") | {"links": links},
        an_event("confirmed", event_id="EV2") | {"links": links},
        a_refund_event("paid") | {"links": {"refund": "RF1", "organisation": "OR1"}},
        gateway=gateway,
    )
    assert (len(events), len(queries)) == ((1, 2) if counts else (0, 0))
    assert delivered(an_event("created"), gateway=gateway)[0]


def test_the_order_reference_may_stand_elsewhere():
    events, _ = delivered(
        an_event("created") | {"resource_metadata": {"shop": "S-1"}}, gateway=a_gateway(order_ref_path="metadata.shop")
    )
    assert events[0].order_ref == "S-1"
    for path in ("reference", "metadata"):  # no event carries those
        assert delivered(an_event("created"), gateway=a_gateway(order_ref_path=path)) == ((), (PAYMENT,))


def test_an_unproven_delivery_names_its_first_payment():
    def named(*events):
        return a_gateway().claimed_references(request_of(({}, gocardless_body(*events))))

    assert named(a_refund_event("paid"), an_event("confirmed", ref="PM7")) == ClaimedReferences(payment_ref="PM7")
    assert named(an_event("confirmed", ref="../7")) is None
    assert named() is None
