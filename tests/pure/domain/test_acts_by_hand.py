"""What people have done to an order: when a reminder or a case by hand is refused, and what a dry run says."""

from datetime import timedelta
from functools import partial

import pytest

from tests.pure.domain.factories import MINUTE, NOON, POLICY, an_event, an_order
from tests.pure.domain.test_decisions import with_facts
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.acts import ActRefused, Refusal, WantedAct, What, decide, hold, hold_in
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.cases import KnownCase
from tillkeeper.domain.order.changes import Act
from tillkeeper.domain.order.doubts import Doubt, DoubtKind
from tillkeeper.domain.order.effects import Effects, effects_of
from tillkeeper.domain.order.progress import ANSWER_IS_FRESH, Progress
from tillkeeper.domain.order.receiving import Arrival, receive

NOW = NOON + timedelta(hours=1)
HOUR = timedelta(hours=1)
ANSWERED = Progress(answered_at=NOW - MINUTE)
CLAIMED = KnownCase(kind=CaseKind.CLAIMED_PAID, subject="order:A1", order_id=1, state="said")


def decided(order, what, **more):
    return decide(order, WantedAct(what=what, **more), by="mei", note="they called", now=NOW)


def refused(order, what, **more):
    with pytest.raises(ActRefused) as told:
        decided(order, what, **more)
    return told.value


# --- reminding --------------------------------------------------------------------------------------------------------


def test_a_payer_is_reminded_by_hand_once_the_gateways_said_that_nothing_came():
    changes = decided(an_order(progress=ANSWERED), What.REMIND)
    [notice] = changes.notices
    assert (notice.topic, notice.key) == ("payer.reminder", "payer/1/payer.reminder/0/0/0/by hand 2026-11-22")
    assert changes.acts == (Act(what="remind", by="mei", note="they called", at=NOW),)
    assert effects_of(changes) == Effects(told=(("payer", "payer.reminder"),))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"closed_at": NOON}, Refusal.CLOSED),
        ({"held_until": NOW + HOUR}, Refusal.HELD),
        ({"facts": with_facts(an_event()).facts}, Refusal.NOTHING_DUE),
        ({"facts": with_facts(an_event(Kind.PAYMENT_PENDING)).facts}, Refusal.NOTHING_DUE),
        ({"has_mail": False}, Refusal.NO_ADDRESS),
        ({"has_parked": True}, Refusal.UNCLEAR),
        ({"cases": {CLAIMED.key: CLAIMED}}, Refusal.UNCLEAR),
        ({"progress": Progress(answered_at=NOW - ANSWER_IS_FRESH - MINUTE)}, Refusal.NOT_ASKED),
        ({"progress": Progress(answered_at=NOW - 2 * MINUTE), "phase_since": NOW - MINUTE}, Refusal.NOT_ASKED),
    ],
)
def test_nobody_is_asked_to_pay_in_doubt(fields, why):
    assert refused(an_order(**{"progress": ANSWERED, **fields}), What.REMIND).why is why


# --- the customer says they paid --------------------------------------------------------------------------------------


def test_a_case_that_the_customer_says_they_paid_opens_once_and_again_after_it_was_resolved():
    changes = decided(an_order(), What.CLAIM)
    assert effects_of(changes) == Effects(opened=(CaseKind.CLAIMED_PAID,))
    assert refused(an_order(cases={CLAIMED.key: CLAIMED}), What.CLAIM).why is Refusal.CASE_IS_OPEN
    resolved = KnownCase(kind=CLAIMED.kind, subject=CLAIMED.subject, order_id=1, state="said", closed_by="mei")
    assert effects_of(decided(an_order(cases={resolved.key: resolved}), What.CLAIM)).opened == (CaseKind.CLAIMED_PAID,)


def test_it_closes_by_itself_once_the_order_is_paid():
    claimed = an_order(cases={CLAIMED.key: CLAIMED})
    failed = receive(claimed, [Arrival(event=an_event(Kind.PAYMENT_FAILED))], policy=POLICY, now=NOW)
    assert effects_of(failed).closed == ()
    paid = receive(claimed, [Arrival(event=an_event())], policy=POLICY, now=NOW)
    assert effects_of(paid).closed == (CaseKind.CLAIMED_PAID,)


def test_it_stands_against_closing():
    doubts = refused(an_order(cases={CLAIMED.key: CLAIMED}), What.CLOSE).doubts
    assert doubts == (Doubt(kind=DoubtKind.CASE, word=CaseKind.CLAIMED_PAID),)


# --- what would happen ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "more", "fields", "effects"),
    [
        (What.HOLD, {"until": NOW + HOUR}, {}, Effects(held_until=NOW + HOUR)),
        (What.RELEASE, {}, {"held_until": NOW + HOUR}, Effects(is_released=True)),
        (What.ASK, {}, {}, Effects(is_asked=True)),
        (
            What.CLOSE,
            {},
            {},
            Effects(is_closed=True, told=(("merchant", "order.closed"), ("payer", "payer.expired"))),
        ),
    ],
)
def test_a_dry_run_says_what_an_act_would_do(what, more, fields, effects):
    assert effects_of(decided(an_order(**fields), what, **more)) == effects


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"facts": with_facts(an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=10)).facts}, "refund_under_way"),
        ({"is_paused": True}, "paused"),
    ],
)
def test_what_moves_or_is_held_back_stands_against_closing(fields, kind):
    [doubt] = refused(an_order(**fields), What.CLOSE).doubts
    assert doubt.kind == kind
    assert doubt.text


def test_two_people_close_an_order_despite_what_they_know_of_and_nothing_else():
    order = an_order(facts=with_facts(an_event(amount=40)).facts)
    known = frozenset(doubt.text for doubt in refused(order, What.CLOSE).doubts)
    assert decided(order, What.CLOSE, despite=known).has_closed
    waits = Doubt(kind=DoubtKind.WAITS_NEARBY, account="a", ref="p9", order_ref="A-1")
    close = partial(decide, order, WantedAct(what=What.CLOSE, despite=known), by="mei, jun", note="", now=NOW)
    with pytest.raises(ActRefused, match="payment p9 at a waits for an order 'A-1'") as told:
        close(nearby=[waits])
    assert told.value.doubts == (waits,)


def test_the_note_of_a_hold_is_read_as_it_was_written():
    changes = hold(an_order(), until=NOON + timedelta(hours=2), by="mei", note="until then: he pays\n", now=NOON)
    [act] = changes.acts
    assert hold_in(act.note) == (NOON + timedelta(hours=2), "until then: he pays\n")
    assert hold_in("until then: he pays") is None
