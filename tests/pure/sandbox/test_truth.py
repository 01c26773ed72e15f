"""The gateways' books, the lives of payments, and what befalls webhooks: pure, and true by Tillkeeper's rules too."""

from datetime import timedelta
from random import Random

import msgspec
import pytest

from tests.gateway_apis import NOON
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.refund_registration import requested_event
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import build
from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState, payment_at
from tillkeeper.sandbox.scenarios.delivery_faults import DeliveryCounts, DeliveryFaults, SilentPeriod, arrivals
from tillkeeper.sandbox.scenarios.resolution import is_true, resolutions
from tillkeeper.sandbox.scenarios.run import BEGINS_AT, DAY_S
from tillkeeper.sandbox.scenarios.simulation import refunds_asked_for
from tillkeeper.sandbox.scenarios.templates import DAY_TEMPLATES, STUCK_TEMPLATES, WITHOUT_WEBHOOK
from tillkeeper.sandbox.simulators.registry import DEFAULT_GATEWAYS, ledger_of, simulator_of
from tillkeeper.sandbox.story import Story
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.settings import load_settings
from tillkeeper.store.reports.overview import OrderStanding
from tillkeeper.store.reports.recorded import PastEvent

ACCOUNTS = {"stripe-main": "stripe", "alipay-main": "alipay", "wechatpay-main": "wechatpay"}
TEMPLATES = {gateway: simulator_of(gateway).templates for gateway in DEFAULT_GATEWAYS}
END = BEGINS_AT + timedelta(days=2)


def stories(count: int, *, seed: int = 1, lives=DAY_TEMPLATES) -> list[Story]:
    return [
        generate_story(
            seed, at, run="S1", now=BEGINS_AT, accounts=ACCOUNTS, templates=lives, started_ago_s=(-DAY_S, -1)
        )
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def settings(tmp_path_factory, signers):
    from tillkeeper.sandbox.accounts import write_config

    path = tmp_path_factory.mktemp("config") / "tillkeeper.toml"
    write_config(path, signers, database_url="postgresql://nobody@127.0.0.1/", broker_url=None, port=1, token="t" * 16)
    return load_settings(path, {})


def events_told(story: Story, settings, signers) -> list[PaymentEvent]:
    """Everything that webhooks would bring, and what the merchant knows of the refunds it asked for."""
    gateway = build(story.account, settings.accounts[story.account])
    events = [requested_event(asked, currency=story.currency) for _, asked in refunds_asked_for(story)]
    for event in story.events:
        if event.event_type not in WITHOUT_WEBHOOK:
            headers, body = signers[story.account].sign(story, event, now=event.at, again=0)
            request = Request({name.lower(): [value] for name, value in headers.items()}, body)
            events += gateway.parse(gateway.verify(request, event.at))
    return events


# --- the books --------------------------------------------------------------------------------------------------------


def test_every_word_of_every_story_is_in_the_books_or_writes_nothing_on_purpose():
    for lives in (DAY_TEMPLATES, STUCK_TEMPLATES):
        for gateway, templates in lives.items():
            assert {say.event_type for template in templates for say in template.events} <= simulator_of(
                gateway
            ).event_types.keys()


def test_the_books_end_as_every_story_says(gateways):
    """The truth of a story is written by hand; what the gateway knows of money must not contradict it."""
    for lives in (TEMPLATES, DAY_TEMPLATES):
        for story in stories(1500, lives=lives):
            books = payment_at(story, simulator_of(ACCOUNTS[story.account]).meanings, END)
            if story.due_at == story.account and story.currency == story.due_currency:
                assert (books.captured, books.refunded) == (story.expected.paid, story.expected.refunded), story.name


def test_the_books_know_nothing_before_it_happens():
    story = next(each for each in stories(500) if each.name == "alipay: two parts given back")
    pending, paid, asked, refunded, asked_again, refunded_again = [event.at for event in story.events]
    instant = timedelta(seconds=1)

    def books(at):
        return payment_at(story, simulator_of("alipay").meanings, at)

    assert books(story.started_at - instant) is None
    assert books(pending - instant).state is PaymentState.CREATED
    assert books(pending).state is PaymentState.PENDING
    assert books(paid - instant).captured == 0
    assert (books(paid).state, books(paid).captured, books(paid).paid_at) == (
        PaymentState.SUCCEEDED,
        story.amount,
        paid,
    )
    assert [refund.state for refund in books(asked).refunds] == [RefundState.PENDING]
    assert (books(asked).refunded, books(asked).going_back) == (0, story.amount // 10 * 3)
    assert books(refunded).refunded == story.amount // 10 * 3
    assert [refund.state for refund in books(asked_again).refunds] == [RefundState.SUCCEEDED, RefundState.PENDING]
    # A notice tells the total of 7 tenths; the second refund is 4 of them.
    assert [refund.amount for refund in books(refunded_again).refunds] == [
        story.amount // 10 * 3,
        story.amount // 10 * 4,
    ]


def test_a_ledger_finds_a_payment_by_each_reference_at_its_own_account_alone():
    told = stories(200)
    ledger = ledger_of(ACCOUNTS, told)
    story = next(event for event in told if event.name == "wechatpay: given back")
    ref = next(event.refund_ref for event in story.events if event.event_type == "REFUND.PROCESSING")
    assert ledger.of(story.account).payment(story.payment_ref, END).story is story
    assert ledger.of(story.account).payment_of_order(story.order_ref, END).story is story
    assert ledger.of(story.account).payment_of_refund(ref, END).story is story
    assert ledger.of(story.account).payment_of_refund(ref, story.started_at) is None  # nobody asked for it yet
    assert ledger.of("stripe-main").payment_of_order(story.order_ref, END) is None
    assert ledger.of(story.account).payment("none", END) is None


def test_a_ledger_tells_what_happened_newest_first_between_two_times(gateways):
    for minute in (3, 1, 2, 5):
        gateways.tells("stripe-main", ("payment_intent.succeeded", minute), order_ref=f"T-{minute}")
    since, until = NOON + timedelta(minutes=1), NOON + timedelta(minutes=3)
    told = [story.order_ref for story, _ in gateways.ledger.of("stripe-main").events_between(since=since, until=until)]
    assert told == ["T-3", "T-2", "T-1"]


# --- lives ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [f"{gateway}: {live.name}" for gateway, lives in DAY_TEMPLATES.items() for live in lives]
)
def test_every_life_ends_by_the_pure_rules_as_it_says_if_all_of_it_is_told(name, settings, signers):
    told = [story for story in stories(1500) if story.name == name][:4]
    assert told, "this life is never lived"
    for story in told:
        events = events_told(story, settings, signers)
        if "of which there is no notice" in name:
            assert events == []
            continue
        for _ in range(5):
            Random(name).shuffle(events)
            facts = OrderFacts()
            for event in events:
                facts = apply(facts, event)
            order = Order(
                order_ref=story.order_ref,
                amount=story.amount,
                currency=story.due_currency,
                accounts=frozenset({story.due_at}),
            )
            summary = summarize(order, facts)
            assert is_true(
                story, OrderStanding(status=summary.status, paid=summary.captured, refunded=summary.refunded)
            )


def test_the_same_seed_is_the_same_day():
    assert stories(300) == stories(300)
    assert stories(300, seed=2) != stories(300)


def test_a_stuck_payment_never_goes_on():
    for story in stories(60, lives=STUCK_TEMPLATES):
        assert payment_at(story, simulator_of(ACCOUNTS[story.account]).meanings, END).state is PaymentState.PENDING


# --- mishaps ----------------------------------------------------------------------------------------------------------


def test_mishaps_befall_the_share_that_they_should():
    told, counts = stories(3000), DeliveryCounts()
    arrived = list(arrivals(told, DeliveryFaults(lost=0.3, doubled=0.1, late=0.2), seed=1, counts=counts))
    assert 0.28 < counts.lost / counts.due < 0.32
    kept = counts.due - counts.lost
    assert 0.08 < counts.doubled / kept < 0.12
    assert 0.18 < counts.late / kept < 0.22
    assert len(arrived) == kept + counts.doubled
    assert all(each.at > each.event.at for each in arrived)


def test_what_a_gateway_has_no_webhook_for_is_never_sent():
    assert not any(
        arrival.event.event_type in WITHOUT_WEBHOOK
        for arrival in arrivals(stories(500), DeliveryFaults(), seed=1, counts=DeliveryCounts())
    )


def test_a_silent_gateway_sends_nothing_and_the_others_go_on():
    silence = SilentPeriod(account="alipay-main", since=BEGINS_AT, until=BEGINS_AT + timedelta(hours=12))
    counts = DeliveryCounts()
    arrived = list(arrivals(stories(500), DeliveryFaults(silent_periods=(silence,)), seed=1, counts=counts))
    at_noon = BEGINS_AT + timedelta(hours=12)
    assert counts.silenced > 0
    assert not any(each.story.account == "alipay-main" and each.event.at < at_noon for each in arrived)
    assert {each.story.account for each in arrived if each.event.at < at_noon} == {"stripe-main", "wechatpay-main"}


def test_the_same_seed_loses_the_same_webhooks():
    faults = DeliveryFaults(lost=0.3, doubled=0.1, late=0.2)
    once = list(arrivals(stories(200), faults, seed=5, counts=DeliveryCounts()))
    assert list(arrivals(stories(200), faults, seed=5, counts=DeliveryCounts())) == once
    assert list(arrivals(stories(200), faults, seed=6, counts=DeliveryCounts())) != once


# --- findings ---------------------------------------------------------------------------------------------------------


def a_paid_story() -> Story:
    return next(story for story in stories(100) if story.name == "alipay: paid")


def recorded(story: Story, kind: str, *, after_s: float, evidence: Evidence = Evidence.WEBHOOK) -> PastEvent:
    at = story.events[-1].at
    event = PaymentEvent(
        event_id=f"{kind}:{after_s}",
        kind=Kind(kind),
        account=story.account,
        occurred_at=at,
        evidence=evidence,
        order_ref=story.order_ref,
        payment_ref=story.payment_ref,
        amount=story.amount,
        currency="CNY",
    )
    return PastEvent(order_ref=story.order_ref, event=event, received_at=at + timedelta(seconds=after_s))


def test_the_first_event_after_which_the_order_stays_true_is_what_resolved_it():
    story = a_paid_story()
    told = [
        recorded(story, "payment.pending", after_s=1),
        recorded(story, "payment.succeeded", after_s=120, evidence=Evidence.QUERY),
        recorded(story, "payment.succeeded", after_s=300),
    ]
    found = resolutions([story], ACCOUNTS, told)
    assert found.by()["query"] == 1
    assert (found.after_s(0.5), found.never) == (120.0, 0)


def test_an_order_that_never_came_to_its_truth_took_for_good():
    story, other = a_paid_story(), msgspec.structs.replace(a_paid_story(), order_ref="S1-other")
    found = resolutions([story, other], ACCOUNTS, [recorded(story, "payment.succeeded", after_s=2)])
    assert found.never == 1
    assert (found.after_s(0.0), found.after_s(0.99)) == (2.0, None)
    assert sum(found.by().values()) == 1


def test_of_a_payment_that_was_never_begun_there_is_nothing_to_find_out():
    untouched = [story for story in stories(300) if story.name in ("stripe: only looked at", "alipay: never opened")]
    assert untouched
    assert resolutions(untouched, ACCOUNTS, []).found == ()
