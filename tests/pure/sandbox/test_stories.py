"""The stories the sandbox tells: true by the pure rules as well, and a lie, a forgery or a loss does not go unseen."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.signers import signers_at
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.accounts import account_of, impostors_of, write_config
from tillkeeper.sandbox.apis.query_log import QueryLog
from tillkeeper.sandbox.comparison import ShownOrder, compare, sample
from tillkeeper.sandbox.forgery import Forger, altered
from tillkeeper.sandbox.simulators.registry import DEFAULT_GATEWAYS, ledger_of, simulator_of
from tillkeeper.sandbox.story import Story
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.sandbox.traffic import run as traffic_run
from tillkeeper.sandbox.traffic.monitor import TrafficSnapshot, grown
from tillkeeper.sandbox.traffic.posting_log import PostingLog
from tillkeeper.sandbox.traffic.schedule import Deliver, Forge, Register, actions_of
from tillkeeper.sandbox.traffic.summary import AuditVerdict, TrafficSummary
from tillkeeper.sandbox.traffic.target import Target
from tillkeeper.settings import load_settings
from tillkeeper.store.reports.overview import OrderStanding

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNTS = {account_of(gateway): gateway for gateway in DEFAULT_GATEWAYS}
NAMES = [f"{gateway}: {template.name}" for gateway in ACCOUNTS.values() for template in simulator_of(gateway).templates]


def a_story(index: int = 1, *, seed: int = 7, accounts: Mapping[str, str] = ACCOUNTS) -> Story:
    return generate_story(seed, index, run="T", now=NOW, accounts=accounts)


@cache
def stories() -> list[Story]:
    return [a_story(index) for index in range(4000)]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory) -> dict[str, Gateway]:
    """The receiver's side, set up from the very file that `--up` writes."""
    path = tmp_path_factory.mktemp("config") / "tillkeeper.toml"
    told = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": "amqp://127.0.0.1/", "port": 1}
    write_config(path, signers_at(), token="a-token-of-the-tests", **told)
    return load_settings(path, {}).build_gateways()


def telling(story: Story) -> frozenset[str]:
    return simulator_of(ACCOUNTS[story.account]).history_event_ids(story)


def events_of(story: Story, gateways: dict[str, Gateway]) -> list[PaymentEvent]:
    return [
        event
        for event in story.events
        for event in received(gateways[story.account], signers_at()[story.account].sign(story, event, now=NOW, again=0))
    ]


def received(gateway: Gateway, signed: tuple[dict[str, str], bytes]) -> tuple[PaymentEvent, ...]:
    headers, body = signed
    request = Request({name.lower(): [value] for name, value in headers.items()}, body)
    return gateway.parse(gateway.verify(request, NOW))


# --- stories ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_story_ends_by_the_pure_rules_as_it_says(name, gateways):
    told = [story for story in stories() if story.name == name][:8]  # other gaps, currencies and amounts
    assert told, "this story is never told"
    for story in told:
        order = Order(
            order_ref=story.order_ref,
            amount=story.amount,
            currency=story.due_currency,
            accounts=frozenset({story.due_at}),
        )
        events = events_of(story, gateways)
        for _ in range(5):
            Random(story.order_ref).shuffle(events)
            facts = OrderFacts()
            for event in events:
                facts = apply(facts, event)
            summary = summarize(order, facts)
            truth = story.expected
            assert (summary.status, summary.captured, summary.refunded) == (truth.status, truth.paid, truth.refunded)


def test_every_status_is_told_of():
    assert {story.expected.status for story in stories()} == set(Status)


def test_a_story_is_the_same_whenever_it_is_told():
    assert [a_story(index) for index in range(50)] == stories()[:50]
    assert a_story(3, seed=8) != a_story(3, seed=7)


def test_events_carry_the_ids_that_the_story_expects(gateways):
    for story in stories()[:200]:
        assert {event.event_id for event in events_of(story, gateways)} == telling(story)
        assert {event.order_ref for event in events_of(story, gateways)} <= {story.order_ref, None}


def test_a_lonely_account_is_never_paid_in_anothers_place():
    alone = [a_story(index, accounts={"stripe-main": "stripe"}) for index in range(500)]
    assert {story.due_at for story in alone} == {"stripe-main"}


def test_currencies_of_none_two_and_three_decimals_are_told_of():
    assert {"JPY", "EUR", "KWD", "CNY"} <= {story.currency for story in stories()}
    assert all(story.amount % 100 == 0 for story in stories())


# --- mischief ---------------------------------------------------------------------------------------------------------


def test_mischief_leaves_nothing_out():
    chance = Random(1)
    acts = [act for story in stories()[:1000] for act in actions_of(story, chance)]
    first = [act.event.event_id for act in acts if isinstance(act, Deliver) and act.again == 0]
    again = [act for act in acts if isinstance(act, Deliver) and act.again]
    assert sorted(first) == sorted(event.event_id for story in stories()[:1000] for event in story.events)
    assert sum(isinstance(act, Register) for act in acts) == 1000
    assert 0.10 < len(again) / len(first) < 0.20
    assert 0.01 < sum(isinstance(act, Forge) for act in acts) / len(acts) < 0.06


def test_some_deliveries_overtake_each_other_and_the_registration():
    chance = Random(1)
    early = overtaken = 0
    for story in stories()[:500]:
        acts = sorted(actions_of(story, chance), key=lambda act: act.after_s)
        told = [act.event for act in acts if isinstance(act, Deliver) and not act.again]
        early += bool(told) and not isinstance(acts[0], Register)
        overtaken += told != list(story.events)
    assert early > 20
    assert overtaken > 50


def test_every_forgery_is_refused_whatever_the_trick(gateways):
    forger, chance, seen = Forger(signers_at(), impostors_of(signers_at())), Random(1), set()
    for story in stories()[:300]:
        forgery = forger.forge(story, chance=chance, now=NOW)
        with pytest.raises(Refused) as refused:
            received(gateways[forgery.account], forgery.signed)
        assert refused.value.status in (400, 401)
        seen.add((story.account, forgery.trick))
    assert len(seen) == 3 * 4 - 1  # Alipay signs no time that could be stale


def test_a_forgery_would_pay_its_order_if_it_were_believed(gateways):
    """Otherwise its acceptance could hide."""
    forger, chance = Forger(signers_at(), signers_at()), Random(1)  # its impostors hold the right keys
    for story in stories()[:100]:
        forgery = forger.forge(story, chance=chance, now=NOW)
        if forgery.trick == "wrong_key":
            (event,) = received(gateways[forgery.account], forgery.signed)
            assert (event.kind, event.amount, event.order_ref) == ("payment.succeeded", story.amount, story.order_ref)
            assert event.event_id not in telling(story)


def test_altering_changes_one_byte_behind_the_mark():
    assert altered(({}, b'{"amount": 120}'), after=b'"amount": ') == ({}, b'{"amount": 020}')


# --- the judge --------------------------------------------------------------------------------------------------------


def a_log(*told: Story) -> PostingLog:
    """The log of a run in which everything went well."""
    log = PostingLog(sorted(ACCOUNTS))
    for story in told:
        log.opened(story, history_event_ids=telling(story))
        log.registered(story.order_ref)
        for event in story.events:
            log.accepted_delivery(story.account, event.event_id, took_s=0.001, at_s=1.0)
    return log


def as_true(story: Story) -> ShownOrder:
    truth = story.expected
    return ShownOrder(status=truth.status, paid=truth.paid, refunded=truth.refunded, events=tuple(telling(story)))


def a_summary(log: PostingLog, **changes: object) -> TrafficSummary:
    fine = {
        "seconds": 1.0,
        "seed": 7,
        "log": log,
        "snapshot": TrafficSnapshot(),
        "asked": 1,
        "differences": [],
        "caught_up": True,
    }
    return TrafficSummary(**(fine | {"audit": AuditVerdict(balances=True, books={}, said="")} | changes))


def paid_story() -> Story:
    return next(story for story in stories() if story.name == "stripe: paid")


def test_the_truth_does_not_differ_from_itself():
    log = a_log(*stories()[:100])
    assert compare(log.orders, {story.order_ref: as_true(story) for story in stories()[:100]}) == []
    assert a_summary(log).problems() == []


@pytest.mark.parametrize(
    ("field", "lie"),
    [
        ("status", "unpaid"),
        ("paid", 1),
        ("refunded", 1),
        ("events", ()),
        ("events", ("evt_T-1_0", "evt_of_nobody")),
    ],
)
def test_a_lie_about_an_order_is_caught(field, lie):
    story = paid_story()
    shown = msgspec.structs.replace(as_true(story), **{field: lie})
    (difference,) = compare(a_log(story).orders, {story.order_ref: shown})
    assert difference.field == ("history" if field == "events" else field)
    assert a_summary(a_log(story), differences=[difference]).problems() == [
        "1 orders are not as the gateways know them"
    ]


def test_an_event_that_counts_twice_is_caught():
    story = paid_story()
    shown = msgspec.structs.replace(as_true(story), events=(*telling(story), min(telling(story))))
    assert compare(a_log(story).orders, {story.order_ref: shown})


def test_an_order_that_is_not_shown_is_caught():
    story = paid_story()
    (difference,) = compare(a_log(story).orders, {story.order_ref: None})
    assert (difference.field, difference.found) == ("order", "not shown")


@pytest.mark.parametrize(
    ("mishap", "problem"),
    [
        ({"forged": 1, "forged_accepted": 1}, "1 forged deliveries were accepted"),
        ({"refused": 2}, "2 genuine deliveries were refused"),
    ],
)
def test_a_wrong_answer_is_caught(mishap, problem):
    log = a_log(paid_story())
    log.counts["stripe-main"] = msgspec.structs.replace(log.counts["stripe-main"], **mishap)
    assert a_summary(log).problems() == [problem]


def test_what_was_never_accepted_or_registered_is_caught():
    log = PostingLog(sorted(ACCOUNTS))
    log.opened(paid_story(), history_event_ids=telling(paid_story()))
    told = len(paid_story().events)
    expected = [f"{told} deliveries were never accepted", "1 orders could not be registered"]
    assert a_summary(log).problems() == expected


def test_what_was_made_up_and_could_not_be_told_is_counted_apart():
    log = a_log(paid_story())
    accepted = log.accepted
    log.accepted_invention("stripe-main", took_s=0.001, at_s=2.0)
    summary = a_summary(log)
    assert (log.accepted, log.counts["stripe-main"].invented) == (accepted + 1, 1)  # the workers take it up
    assert (summary.as_dict()["forged"], summary.as_dict()["invented"]) == (0, 1)
    assert summary.problems() == []


def test_words_that_only_have_their_gateway_asked_bring_no_event_by_webhook():
    story, simulator = paid_story(), simulator_of("stripe")
    asking = msgspec.structs.replace(simulator, fetched=frozenset({"payment_intent.succeeded"}))
    (paid,) = (event.event_id for event in story.events if event.event_type == "payment_intent.succeeded")
    assert asking.history_event_ids(story) == simulator.history_event_ids(story) - {paid}
    log = PostingLog(sorted(ACCOUNTS))
    log.opened(story, history_event_ids=asking.history_event_ids(story))
    assert log.undelivered() == len(story.events)  # it must be delivered all the same


def test_an_event_may_have_another_id_than_what_happened():
    story, simulator = paid_story(), simulator_of("stripe")
    renaming = msgspec.structs.replace(
        simulator, event_id_of=lambda story, delivery: f"{story.payment_ref}:{delivery.event_type}"
    )
    assert f"{story.payment_ref}:payment_intent.succeeded" in renaming.history_event_ids(story)
    assert len(renaming.history_event_ids(story)) == len(simulator.history_event_ids(story))


class Workers:
    """Workers that have taken all up at once, and whose orders are right only after some looks."""

    def __init__(self, log: PostingLog, *, right_after_looks: int) -> None:
        self.snapshot = TrafficSnapshot(applied=log.accepted)
        self._log = log
        self._until_right = right_after_looks

    async def again(self) -> TrafficSnapshot:
        return self.snapshot

    async def standings(self) -> dict[str, OrderStanding]:
        self._until_right -= 1
        right = self._until_right <= 0
        return {
            ref: OrderStanding(
                status=order.expected.status, paid=order.expected.paid if right else 0, refunded=order.expected.refunded
            )
            for ref, order in self._log.orders.items()
        }


@pytest.mark.parametrize(("asks", "wrong"), [(True, 0), (False, 1)])
async def test_where_gateways_must_be_asked_first_there_is_time_for_the_answers(monkeypatch, asks, wrong):
    monkeypatch.setattr(traffic_run, "FRAME_S", 0.01)
    monkeypatch.setattr(traffic_run, "CALM_S", 0.03)
    monkeypatch.setattr(traffic_run, "asks_first", lambda _signers: asks)
    log = a_log(paid_story())
    target = Target(
        url="",
        desk_url="",
        metrics_url=None,
        token="",
        database_url="",
        signers=signers_at(),
        directory=Path(),
        config=None,
        ledger=ledger_of(ACCOUNTS),
        queries=QueryLog(),
    )
    monitor = Workers(log, right_after_looks=20)
    load = traffic_run.Load(seconds=0, rate=1, seed=1)
    run = traffic_run.Run(target=target, load=load, screen=None, generator=None, log=log, monitor=monitor)
    differences, caught_up = await run._catch_up()
    assert caught_up
    assert len(differences) == wrong


def test_a_run_without_orders_proves_nothing():
    assert a_summary(a_log()).problems() == ["no order was played"]


def test_lagging_workers_and_unbalanced_books_are_caught():
    log = a_log(paid_story())
    assert a_summary(log, caught_up=False).problems() == ["Tillkeeper did not catch up in time"]
    bad = AuditVerdict(balances=False, books={}, said="")
    assert a_summary(log, audit=bad).problems() == ["the audit says that the books do not balance"]


@pytest.mark.parametrize(
    ("code", "output", "balances"),
    [
        (0, '{"balances": true}', True),
        (0, 'a warning\n{"balances": true}\n', True),
        (1, '{"balances": true}', False),
        (0, '{"balances": false}', False),
        (0, "[]", False),
        (0, "", False),
        (3, "the database is out of reach", False),
    ],
)
def test_the_audit_balances_only_if_exit_code_and_books_say_so(code, output, balances):
    assert AuditVerdict.of(code, output).balances is balances


def test_a_repetition_counts_as_a_duplicate_and_not_as_an_event():
    story = paid_story()
    log = a_log(story)
    log.accepted_delivery(story.account, story.events[0].event_id, took_s=0.001, at_s=2.0)
    assert (log.counts["stripe-main"].again, log.accepted, log.undelivered()) == (1, len(story.events) + 1, 0)


def test_the_lag_is_the_age_of_what_is_next_to_be_applied():
    log = PostingLog(sorted(ACCOUNTS))
    for at_s in (1.0, 2.0, 3.0):
        log.accepted_delivery("stripe-main", f"evt_{at_s}", took_s=0.001, at_s=at_s)
    assert log.lag_s(1, now_s=10.0) == 8.0
    assert log.lag_s(3, now_s=10.0) == 0.0


def test_of_many_orders_some_are_asked_for_and_of_few_all():
    few, many = [f"T-{at}" for at in range(999)], [f"T-{at}" for at in range(12_345)]
    assert sample(few) == few
    asked = sample(many)
    assert 900 < len(asked) <= 1000
    assert many.index(asked[-1]) > 12_000


def test_a_counter_that_began_anew_is_counted_on():
    assert grown({"rabbitmq": 5, "spool": 2}, {"rabbitmq": 9, "spool": 2}) == {"rabbitmq": 4}
    assert grown({"spool": 7}, {"spool": 3}) == {"spool": 3}


def test_a_silent_word_is_no_event(gateways):
    story = next(story for story in stories() if story.name == "stripe: only looked at")
    assert {event.event_type for event in story.events} <= simulator_of("stripe").ignored
    assert events_of(story, gateways) == []
