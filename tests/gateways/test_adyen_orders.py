"""Adyen: what becomes of an order, by capture mode and by method."""

from datetime import timedelta
from operator import attrgetter

import pytest
from adyen_factories import PAYMENT, a_gateway, an_item, event_of, events_of
from pydantic import ValidationError
from simulated_stories import SimulatedStory, impostor_of, with_amount_raised
from specimen import NOW, request_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import held_in_all
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.errors import BadSignature, CannotQuery
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery
from tillkeeper.sandbox.simulators.adyen.simulator import SIMULATOR

# What becomes of an order.


ORDER = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"adyen-main"}))


def facts_of(events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    return facts


def settled(events):
    summary = summarize(ORDER, facts_of(events))
    return summary.status, summary.captured, summary.refunded


def status_of(*items, auto_capture=True):
    """(code, success, value, own reference) each, a minute apart."""
    items = [
        an_item(code, success, value, pspReference=ref, eventDate=(NOW + timedelta(minutes=at)).isoformat())
        for at, (code, success, value, ref) in enumerate(items)
    ]
    return settled(events_of(*items, gateway=a_gateway(auto_capture=auto_capture)))


AUTHORISED = ("AUTHORISATION", "true", 12900, PAYMENT)


def test_a_capture_is_not_counted_twice():
    assert status_of(AUTHORISED, ("CAPTURE", "true", 12900, "CAP1")) == (Status.PAID, 12900, 0)


def test_with_manual_capture_parts_add_up():
    first, second = ("CAPTURE", "true", 12000, "CAP1"), ("CAPTURE", "true", 900, "CAP2")
    assert status_of(AUTHORISED, auto_capture=False) == (Status.PROCESSING, 0, 0)
    assert status_of(AUTHORISED, first, auto_capture=False) == (Status.PARTIALLY_PAID, 12000, 0)
    assert status_of(AUTHORISED, first, second, auto_capture=False) == (Status.PAID, 12900, 0)
    assert status_of(AUTHORISED, ("CAPTURE", "false", 12900, "CAP1"), auto_capture=False) == (Status.PROCESSING, 0, 0)


def test_with_manual_capture_a_cancelled_or_expired_payment_is_over():
    for end in (("CANCELLATION", "true", 0, "MOD1"), ("EXPIRE", "true", 12900, PAYMENT)):
        assert status_of(AUTHORISED, end, auto_capture=False) == (Status.FAILED, 0, 0)


def test_a_refund_that_fails_later_is_taken_back():
    refund, failed = ("REFUND", "true", 12900, "REF1"), ("REFUND_FAILED", "true", 12900, "REF1")
    assert status_of(AUTHORISED, refund) == (Status.REFUNDED, 12900, 12900)
    assert status_of(AUTHORISED, refund, failed) == (Status.PAID, 12900, 0)
    events = events_of(*(an_item(code, pspReference="REF1") for code in ("REFUND_FAILED", "REFUND")), an_item())
    assert settled(events) == (Status.PAID, 12900, 0)  # all of one second, and the failure came first


def test_a_reversal_is_never_lost_whichever_it_was():
    capture, reversal = ("CAPTURE", "true", 12900, "CAP1"), ("CANCEL_OR_REFUND", "true", 12900, "MOD1")
    assert status_of(AUTHORISED, reversal) == (Status.REFUNDED, 12900, 12900)
    assert status_of(AUTHORISED, reversal, auto_capture=False) == (Status.FAILED, 0, 0)
    assert status_of(AUTHORISED, capture, reversal, auto_capture=False) == (Status.FAILED, 0, 0)


@pytest.mark.parametrize("auto_capture", [True, False])
@pytest.mark.parametrize("undo", ["CAPTURE_FAILED", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"])
def test_what_undoes_a_success_takes_its_money_back_and_a_later_capture_counts_again(auto_capture, undo):
    capture = ("CAPTURE", "true", 12900, "CAP1")
    paid = (AUTHORISED,) if auto_capture else (AUTHORISED, capture)
    undone = (undo, "true", 12900, PAYMENT if undo == "EXPIRE" else "CAP1")
    kept = not auto_capture and undo != "CAPTURE_FAILED"  # what was captured by hand stays, the rest was let go
    after = (Status.PAID, 12900, 0) if kept else (Status.FAILED, 0, 0)
    assert status_of(*paid, undone, auto_capture=auto_capture) == after
    again = ("CAPTURE", "true", 12900, "CAP2")
    if not kept:
        assert status_of(*paid, undone, again, auto_capture=auto_capture) == (Status.PAID, 12900, 0)


@pytest.mark.parametrize(("multiple", "held"), [(True, 900), (False, 0)])
def test_what_is_left_after_a_capture_of_a_part_is_held_where_more_captures_can_come(multiple, held):
    gateway = a_gateway(auto_capture=False, multiple_captures=multiple)
    later = (NOW + timedelta(minutes=1)).isoformat()
    facts = facts_of(events_of(an_item(), an_item("CAPTURE", value=12000, eventDate=later), gateway=gateway))
    assert (summarize(ORDER, facts).captured, held_in_all(ORDER, facts)) == (12000, held)


def test_only_the_capture_that_failed_is_undone():
    parts = ("CAPTURE", "true", 12000, "CAP1"), ("CAPTURE", "true", 900, "CAP2")
    failed = ("CAPTURE_FAILED", "true", 12000, "CAP1")
    assert status_of(AUTHORISED, *parts, failed, auto_capture=False) == (Status.PARTIALLY_PAID, 900, 0)


# Methods that keep to no account's capture mode.

AT_ONCE = (
    "ideal",
    "iDEAL",
    "alipay",
    "alipay_hk",
    "wechatpayQR",
    "bcmc",
    "eps",
    "onlineBanking_PL",
    "molpay_ebanking_fpx_MY",
    "econtext_stores",
    "grabpay_SG",
    "oxxo",
    "paynow",
    "promptpay",
)
BY_HAND = (
    "klarna",
    "klarna_account",
    "klarna_paynow",
    "afterpaytouch",
    "affirm",
    "ratepay_directdebit",
    "facilypay_3x",
)


def paid_by(method, *codes, auto_capture, **settings):
    values = {"AUTHORISATION": {}, "CAPTURE": {}}
    items = [an_item(code, paymentMethod=method, **values[code]) for code in codes]
    return settled(events_of(*items, gateway=a_gateway(auto_capture=auto_capture, **settings)))


@pytest.mark.parametrize("method", AT_ONCE)
def test_what_has_no_separate_capture_is_paid_once_authorized_at_any_account(method):
    for auto_capture in (True, False):
        assert paid_by(method, "AUTHORISATION", auto_capture=auto_capture) == (Status.PAID, 12900, 0)
        assert paid_by(method, "AUTHORISATION", "CAPTURE", auto_capture=auto_capture) == (Status.PAID, 12900, 0)
    nothing = {"methods_without_capture": []}
    assert paid_by(method, "AUTHORISATION", auto_capture=False, **nothing) == (Status.PROCESSING, 0, 0)


@pytest.mark.parametrize("method", BY_HAND)
def test_what_is_captured_by_hand_is_paid_by_its_capture_at_any_account(method):
    for auto_capture in (True, False):
        assert paid_by(method, "AUTHORISATION", auto_capture=auto_capture) == (Status.PROCESSING, 0, 0)
        assert paid_by(method, "AUTHORISATION", "CAPTURE", auto_capture=auto_capture) == (Status.PAID, 12900, 0)
    nothing = {"methods_captured_by_hand": []}
    assert paid_by(method, "AUTHORISATION", auto_capture=True, **nothing) == (Status.PAID, 12900, 0)


@pytest.mark.parametrize("method", ["visa", "mc_applepay", "paypal", "idealized", None, 7, "x" * 300])
def test_every_other_method_goes_by_the_account(method):
    assert paid_by(method, "AUTHORISATION", auto_capture=False) == (Status.PROCESSING, 0, 0)
    assert paid_by(method, "AUTHORISATION", auto_capture=True) == (Status.PAID, 12900, 0)


def test_what_adyen_says_can_be_captured_does_not_count_before():
    for operations, kind in (
        (["CANCEL", "CAPTURE", "REFUND"], Kind.PAYMENT_AUTHORIZED),
        (["REFUND"], Kind.PAYMENT_SUCCEEDED),
        ("CAPTURE", Kind.PAYMENT_SUCCEEDED),
    ):
        assert event_of(auto_capture=False, paymentMethod="ideal", operations=operations).kind is kind


@pytest.mark.parametrize("setting", ["methods_without_capture", "methods_captured_by_hand"])
@pytest.mark.parametrize("name", ["", "*", "a b", "ideal**", "x" * 65])
def test_a_setting_that_names_no_method_is_refused_at_the_start(setting, name):
    with pytest.raises(ValidationError):
        a_gateway(**{setting: [name]})


# Queries and acknowledgement.


def test_it_takes_yes_in_adyens_word():
    reply = a_gateway().acknowledge()
    assert (reply.status, reply.body) == (200, b"[accepted]")


def test_adyen_cannot_be_queried():
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment", order_ref="ORDER-1", payment_ref=PAYMENT), now=NOW, nonce="n")


def test_what_an_unproven_delivery_names():
    def named(item):
        return a_gateway().claimed_references(request_of(adyen_delivery([item])))

    payment, refund = named(an_item()), named(an_item("REFUND"))
    assert (payment.payment_ref, payment.order_ref) == (PAYMENT, "ORDER-1")
    assert (refund.payment_ref, refund.order_ref) == (PAYMENT, "ORDER-1")
    assert named(an_item(pspReference="../x", merchantReference="a b")) is None


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=attrgetter("name"))
def test_a_simulated_story_ends_as_it_says(template):
    played = SimulatedStory(SIMULATOR, Adyen, template)
    assert played.end(played.deliveries()) == played.story.expected


def test_the_simulators_impostor_and_an_altered_amount_are_refused():
    played = SimulatedStory(SIMULATOR, Adyen, SIMULATOR.templates[0])
    event = played.story.events[0]
    for delivery in (
        impostor_of(played).sign(played.story, event, now=NOW, again=0),
        with_amount_raised(played.signer.sign(played.story, event, now=NOW, again=0), played.signer.amount_follows),
    ):
        with pytest.raises(BadSignature):
            played.gateway.verify(request_of(delivery), NOW)


@pytest.mark.parametrize("method", [None, "", 7, {}, "x" * 300, "\u2603"])
def test_an_odd_way_of_paying_is_unknown_and_refuses_nothing(method):
    assert event_of("AUTHORISATION", paymentMethod=method).method is None
