"""Stripe: what the states of its objects say."""

from datetime import timedelta

import pytest
from specimen import NOW, request_of
from stripe_factories import (
    SECRET,
    UNIX,
    a_charge,
    a_dispute,
    a_gateway,
    a_refund,
    a_session,
    an_intent,
    event_of,
    events_of,
    queries_of,
    with_api_key,
)
from stripe_object_factories import STATES
from walking import facts_after

from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.stripe.events import TYPES
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body, stripe_signed


@pytest.mark.parametrize(
    ("event_type", "subject", "kind", "amount", "failure"), STATES, ids=[f"{row[0]}-{row[2]}" for row in STATES]
)
def test_what_happens_to_a_payment(event_type, subject, kind, amount, failure):
    event = event_of(event_type, subject, id="evt_7", created=UNIX - 40)
    assert event.event_id == "evt_7"
    assert event.kind == kind
    assert event.amount == amount
    assert event.total is None
    assert event.currency == "USD"
    assert event.payment_ref == "pi_1"
    assert event.order_ref == "ORDER-1"
    assert event.capture_ref is None
    assert event.failure == failure
    assert event.occurred_at == NOW - timedelta(seconds=40)


@pytest.mark.parametrize("event_type", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("pending", "refund.pending"),
        ("requires_action", "refund.pending"),
        ("succeeded", "refund.succeeded"),
        ("failed", "refund.failed"),
        ("canceled", "refund.failed"),
    ],
)
def test_what_happens_to_a_refund_shows_in_its_status(event_type, status, kind):
    event = event_of(event_type, a_refund(status=status))
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "re_1", "pi_1")
    assert (event.amount, event.total, event.currency) == (400, None, "USD")


def test_a_charge_refunded_reports_a_running_total():
    event = event_of("charge.refunded", a_charge(amount_refunded=700))
    assert event.kind == "refund.succeeded"
    assert (event.amount, event.total, event.refund_ref, event.payment_ref) == (None, 700, None, "pi_1")


ACACIA, BASIL, CLOVER = "2025-02-24.acacia", "2025-03-31.basil", "2025-09-30.clover"


VOIDED = {"captured": False, "amount_captured": 0, "amount_refunded": 12900, "refunded": True}


@pytest.mark.parametrize("version", [ACACIA, CLOVER])
@pytest.mark.parametrize(
    ("more", "total"),
    [
        (VOIDED, None),
        (VOIDED | {"amount_captured": None}, None),
        (VOIDED | {"amount_refunded": 3900, "refunded": False}, None),  # a part of the authorization was let go
        ({"amount_captured": None, "amount_refunded": 1000}, 1000),
        ({"captured": None, "amount_captured": None, "amount_refunded": 1000}, 1000),
        ({"amount_refunded": 0}, None),
        # Of itself it tells which way it counts.
        ({"amount_captured": 9000, "amount_refunded": 12900, "refunded": True}, 9000),
        ({"amount_captured": 9000, "amount_refunded": 9000, "refunded": True}, 9000),
        ({"amount_captured": 9000, "amount_refunded": 9000}, 5100),
        ({"amount_captured": 9000, "amount_refunded": 9500}, 5600),
        ({"amount_captured": 9000, "amount_refunded": 1000}, 1000),
        ({"amount_captured": 2000, "amount_refunded": 2000, "refunded": True}, 2000),
        ({"amount_captured": 15000, "amount_refunded": 400}, 400),  # captured over the authorization, as a tip may be
    ],
)
def test_what_was_let_go_uncaptured_is_no_refund(more, total, version):
    events = events_of("charge.refunded", a_charge(**more), api_version=version)
    assert [event.total for event in events] == ([] if total is None else [total])


LONG_AGO = {"created": 1_700_000_000}


@pytest.mark.parametrize(
    ("event", "total"),
    [
        ({"api_version": "2020-08-27"}, 1000),
        ({"api_version": ACACIA}, 1000),
        ({"api_version": BASIL}, 4900),
        ({"api_version": CLOVER}, 4900),
        ({"api_version": None}, 4900),
        ({"api_version": None} | LONG_AGO, 1000),
    ],
)
def test_where_the_sums_allow_both_the_events_own_version_tells_how_refunds_are_counted(event, total):
    made = event_of("charge.refunded", a_charge(amount_captured=9000, amount_refunded=4900), **event)
    assert (made.total, made.released) == (total, 3900)


@pytest.mark.parametrize(
    ("refunds", "total"),
    [
        ({"data": [a_refund(amount=1000)], "has_more": False}, 1000),
        ({"data": [a_refund(amount=1000), a_refund(amount=500, status="failed")], "has_more": False}, 1000),
        ({"data": [a_refund(amount=1000), a_refund(amount=3900)], "has_more": False}, 4900),
        ({"data": [a_refund(amount=1000)], "has_more": True}, 4900),
        ({}, 4900),
    ],
)
def test_the_refunds_that_a_charge_lists_tell_how_they_are_counted(refunds, total):
    charge = a_charge(amount_captured=9000, amount_refunded=4900, refunds=refunds)
    assert event_of("charge.refunded", charge).total == total


def a_lone_refund(**more):
    return a_refund(**{"destination_details": None, "reason": None, "metadata": {}} | more)


@pytest.mark.parametrize(
    ("refund", "event", "is_doubtful"),
    [
        (a_lone_refund(), {"api_version": ACACIA}, True),
        (a_lone_refund(), {"api_version": CLOVER}, False),
        (a_lone_refund(status="pending"), {"api_version": ACACIA}, False),
        (a_lone_refund(metadata={"rma": "7"}), {"api_version": ACACIA}, False),
        (
            a_lone_refund(destination_details={"card": {"type": "refund"}, "type": "card"}),
            {"api_version": ACACIA},
            False,
        ),
        (a_lone_refund(destination_details={"card": {"type": "reversal"}}), {"api_version": ACACIA}, True),
        (
            a_lone_refund(),
            {
                "api_version": ACACIA,
                "data": {"object": a_lone_refund(), "previous_attributes": {"status": "pending"}},
            },
            False,
        ),
    ],
)
def test_a_refund_of_an_old_version_may_tell_only_of_an_authorization_that_was_let_go(refund, event, is_doubtful):
    made = event_of("refund.updated", refund, **event)
    assert made.may_be_release is is_doubtful
    expected = Query(about="payment", payment_ref="pi_1")
    assert queries_of("refund.updated", refund, **event) == ((expected,) if is_doubtful else ())


def test_a_refund_in_doubt_of_a_charge_without_an_intent_is_queried_by_its_charge():
    told = {"api_version": ACACIA}
    assert queries_of("refund.created", a_lone_refund(payment_intent=None), **told) == (
        Query(about="payment", payment_ref=a_refund()["charge"]),
    )
    assert queries_of("refund.created", a_lone_refund(payment_intent=None, charge=None), **told) == ()
    assert queries_of("refund.created", a_lone_refund(), a_gateway(), **told) == ()  # nothing can be asked


def test_an_intent_tells_what_was_let_go():
    succeeded = event_of("payment_intent.succeeded", an_intent(amount_received=9000))
    assert (succeeded.amount, succeeded.released) == (9000, 3900)
    assert event_of("payment_intent.succeeded", an_intent()).released is None
    assert event_of("payment_intent.canceled", an_intent(amount_received=0)).released == 12900
    assert event_of("charge.captured", a_charge(amount_captured=9000)).released == 3900
    assert event_of("charge.expired", a_charge(captured=False, amount_captured=0)).released == 12900


# Captured in parts, tipped, discounted, reversed.


def test_what_was_taken_while_more_is_held_counts():
    held = an_intent(amount_capturable=9000, amount_received=3900)
    events = events_of("payment_intent.amount_capturable_updated", held, id="evt_7")
    assert [(event.event_id, event.kind, event.amount) for event in events] == [
        ("evt_7", "payment.authorized", 12900),
        ("evt_7:payment.succeeded", "payment.succeeded", 3900),
    ]


def test_a_charge_of_which_a_further_part_was_captured_says_so():
    charge = a_charge(amount_captured=9000)
    data = {"object": charge, "previous_attributes": {"amount_captured": 4000}}
    event = event_of("charge.updated", charge, data=data)
    assert (event.kind, event.amount) == ("payment.succeeded", 9000)
    assert events_of("charge.updated", charge, data=data | {"previous_attributes": {"description": "x"}}) == ()
    assert events_of("charge.updated", charge) == ()


@pytest.mark.parametrize("turn", [1, -1])
def test_a_tip_in_a_charge_is_the_one_that_its_intent_tells_of(turn):
    """Without a key nobody can be asked, and the charge tells both in one amount."""
    told = [
        event_of("payment_intent.succeeded", an_intent(amount_details={"tip": {"amount": 900}}), id="evt_1"),
        event_of("charge.succeeded", a_charge(), id="evt_2"),
    ]
    order = Order(order_ref="ORDER-1", amount=12000, currency="USD", accounts=frozenset({"stripe-main"}))
    assert summarize(order, facts_after(told[::turn])).captured == 12000


@pytest.mark.parametrize(
    ("tip", "amount", "on_top"),
    [({"amount": 900}, 12000, 900), ({"amount": 0}, 12900, None), ({}, 12900, None), ({"amount": 99999}, 0, 12900)],
)
def test_a_tip_is_not_the_orders(tip, amount, on_top):
    event = event_of("payment_intent.succeeded", an_intent(amount_details={"tip": tip}))
    assert (event.amount, event.on_top) == (amount, on_top)


IN_PERSON = {"payment_method_details": {"type": "card_present", "card_present": {"brand": "visa"}}}


@pytest.mark.parametrize("event_type", ["charge.succeeded", "charge.captured"])
def test_a_charge_in_person_hides_a_tip_so_its_intent_is_queried(event_type):
    expected = Query(about="payment", payment_ref="pi_1")
    assert events_of(event_type, a_charge(**IN_PERSON), with_api_key()) == ()
    assert queries_of(event_type, a_charge(**IN_PERSON)) == (expected,)
    assert event_of(event_type, a_charge(**IN_PERSON)).amount == 12900  # where nobody can be asked
    assert event_of(event_type, a_charge(payment_intent=None, **IN_PERSON), with_api_key()).amount == 12900
    assert queries_of(event_type, a_charge()) == ()
    assert queries_of("charge.refunded", a_charge(amount_refunded=1, **IN_PERSON)) == ()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"amount_total": 10000, "total_details": {"amount_discount": 2900}}, [(10000, 2900)]),
        ({"total_details": {"amount_discount": 0}}, [(12900, None)]),
        (
            {"amount_total": 0, "payment_status": "no_payment_required", "total_details": {"amount_discount": 12900}},
            [(0, 12900)],
        ),
        ({"amount_total": 0, "payment_status": "no_payment_required"}, [(0, None)]),
        ({"payment_status": "no_payment_required"}, []),  # a trial: due later, and not paid
    ],
)
def test_what_a_coupon_took_off_is_a_discount(more, told):
    events = events_of("checkout.session.completed", a_session(**more))
    assert [(event.amount, event.discount) for event in events] == told
    pending = a_session(payment_status="unpaid", total_details={"amount_discount": 2900})
    assert event_of("checkout.session.completed", pending).discount is None


def test_a_bank_debit_that_fails_once_it_was_credited_takes_its_success_back():
    failed = a_charge(status="failed", failure_balance_transaction="txn_back", failure_code="insufficient_funds")
    events = events_of("charge.failed", failed, id="evt_7")
    assert [(event.event_id, event.kind) for event in events] == [
        ("evt_7", "payment.failed"),
        ("evt_7:payment.reversed", "payment.reversed"),
    ]


# Words outside our lists.


@pytest.mark.parametrize(
    ("event_type", "subject", "word", "kinds"),
    [
        ("checkout.session.completed", a_session(payment_status="half"), ("payment_status", "half"), []),
        ("refund.updated", a_refund(status="half"), ("refund.status", "half"), []),
        ("refund.updated", a_refund(status=None), ("refund.status", "None"), []),
        ("charge.dispute.closed", a_dispute(status="half"), ("dispute.status", "half"), []),
        ("payment_intent.succeeded", an_intent(currency="xxx"), ("currency", "XXX"), []),
        (
            "payment_intent.canceled",
            an_intent(cancellation_reason="whim"),
            ("cancellation_reason", "whim"),
            ["payment.cancelled"],
        ),
    ],
)
def test_an_unknown_word_is_noted_and_never_a_refusal(event_type, subject, word, kinds):
    with unknown_words() as words:
        assert [event.kind for event in events_of(event_type, subject)] == kinds
    assert [(each.field, each.word) for each in words] == [word]


# Disputes, and what is of no interest.


@pytest.mark.parametrize("event_type", [name for name in TYPES if name.startswith("charge.dispute.")])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("warning_needs_response", "dispute.opened"),
        ("warning_under_review", "dispute.opened"),
        ("needs_response", "dispute.opened"),
        ("under_review", "dispute.opened"),
        ("appeal_needs_response", "dispute.opened"),
        ("appeal_under_review", "dispute.opened"),
        ("warning_closed", "dispute.won"),
        ("prevented", "dispute.won"),
        ("charge_refunded", "dispute.won"),
        ("won", "dispute.won"),
        ("lost", "dispute.lost"),
    ],
)
def test_what_happens_to_a_dispute_shows_in_its_status(event_type, status, kind):
    event = event_of(event_type, a_dispute(status=status))
    assert (event.kind, event.dispute_ref, event.payment_ref) == (kind, "du_1", "pi_1")
    assert (event.amount, event.currency) == (12900, "USD")


@pytest.mark.parametrize(
    "event_type",
    [
        "payment_intent.requires_action",
        "payment_intent.created",
        "customer.created",
        "invoice.paid",
        "something.new",
    ],
)
def test_a_type_of_no_interest_is_answered_and_changes_nothing(event_type):
    assert events_of(event_type, an_intent()) == ()
    assert events_of(event_type, {"id": "x"}) == ()


@pytest.mark.parametrize("event_type", [name for name in TYPES if name.startswith("checkout.session.")])
def test_a_session_that_only_saves_a_card_is_no_payment(event_type):
    setup = a_session(mode="setup", payment_intent=None, amount_total=None, payment_status="no_payment_required")
    assert events_of(event_type, setup) == ()


def test_a_dispute_that_takes_the_money_along_is_still_one_dispute_and_no_refund():
    words = ("created", "funds_withdrawn", "updated")
    told = [event_of(f"charge.dispute.{word}", a_dispute(), id=f"evt_{word}") for word in words]
    facts = facts_after([event_of("payment_intent.succeeded", an_intent()), *told])
    order = Order(order_ref="ORDER-1", amount=12900, currency="USD", accounts=frozenset({"stripe-main"}))
    assert len(facts.disputes) == 1
    assert (summarize(order, facts).status, summarize(order, facts).refunded) == ("paid", 0)


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("charge.succeeded", a_charge(captured="yes")),
        ("charge.succeeded", a_charge(captured=0)),
        ("charge.succeeded", a_charge(captured=1)),
        ("charge.refunded", a_charge(captured=0, amount_refunded=12900)),
        ("payment_intent.succeeded", an_intent(amount_received="100")),
        ("payment_intent.succeeded", an_intent(amount_received=True)),
        ("payment_intent.succeeded", an_intent(amount_received=-1)),
        ("payment_intent.succeeded", an_intent(amount_received=10**16)),
        ("payment_intent.succeeded", an_intent(amount_received=None)),
        ("payment_intent.succeeded", an_intent(currency="")),
        ("payment_intent.succeeded", an_intent(metadata={"order_id": 7})),
        ("payment_intent.succeeded", an_intent(metadata={"order_id": "x" * 256})),
        ("payment_intent.succeeded", an_intent(id=None)),
        ("payment_intent.succeeded", []),
        ("payment_intent.succeeded", None),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(event_type, subject):
    gateway = a_gateway()
    body = stripe_body(NOW, event_type, {"id": "x"}, data={"object": subject})
    verified = gateway.verify(request_of(stripe_signed(SECRET, NOW, body)), NOW)
    with pytest.raises(BadPayload):
        gateway.parse(verified)
