"""Every gateway of the registry has a simulator, which holds what sandbox/simulators/base.py promises."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.pure.sandbox.querying import answer
from tests.signers import signers_at
from tillkeeper import clock
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent, problem_with
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadSignature, Refused
from tillkeeper.gateways.messages import Query, Request, Verified
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.sandbox.accounts import account_of, asks_first, impostors_of, write_config
from tillkeeper.sandbox.apis.base import Api
from tillkeeper.sandbox.forgery import Forger
from tillkeeper.sandbox.ledger.payments import PaymentState, payment_at
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Simulator
from tillkeeper.sandbox.simulators.registry import (
    ALL_GATEWAYS,
    DEFAULT_GATEWAYS,
    NoSuchGateway,
    ledger_of,
    parse_gateways,
    simulator_of,
)
from tillkeeper.sandbox.story import Story, StoryEvent
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.sandbox.templates import Template
from tillkeeper.settings import load_settings

EVERYONE = sorted(GATEWAYS)
NOW = clock.now().replace(microsecond=0)  # of the real clock: a play may issue certificates that begin today


@dataclass(frozen=True)
class Played:
    """One gateway: its play, an account of it, and the receiver's side set up from the file that `--up` writes."""

    simulator: Simulator
    signer: Signer
    gateway: Gateway
    config: Path

    def sign(self, story: Story, event: StoryEvent, *, again: int = 0) -> Request:
        return request_of(self.signer, story, event, again=again)

    def verified(self, request: Request) -> Verified:
        return self.gateway.verify(request, NOW)

    @cached_property
    def stories(self) -> list[Story]:
        return [story for template in self.simulator.templates for story in told(self.simulator, template)]

    def api_of(self, *stories: Story) -> Api:
        make: Callable | None = self.simulator.api
        assert make is not None
        return make(self.signer, ledger_of({self.signer.account: self.simulator.gateway}, stories))


def told(simulator: Simulator, template: Template, count: int = 4) -> list[Story]:
    """Stories of one kind, with other gaps, currencies and amounts each; paid at the account -main."""
    accounts = dict.fromkeys((account_of(simulator.gateway), "elsewhere"), simulator.gateway)
    templates = {simulator.gateway: (template,)}
    stories = (generate_story(7, at, run="T", now=NOW, accounts=accounts, templates=templates) for at in range(100))
    return [story for story in stories if story.account != "elsewhere"][:count]


def request_of(signer: Signer, story: Story, event: StoryEvent, *, again: int = 0) -> Request:
    headers, body = signer.sign(story, event, now=NOW, again=again)
    headers = {name.lower(): [value] for name, value in headers.items()}
    return Request(headers, body, simulator_of(signer.gateway).query_of(story, event))


@pytest.fixture(scope="module", params=EVERYONE)
def played(request, tmp_path_factory) -> Played:
    signers = signers_at([request.param])
    config = tmp_path_factory.mktemp(request.param) / "tillkeeper.toml"
    place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
    simulator, bases = simulator_of(request.param), {account_of(request.param): "http://127.0.0.1:1"}
    write_config(config, signers, **place, token="a-token-of-the-tests", bases=bases if simulator.api else {})
    ((account, gateway),) = load_settings(config, {}).build_gateways().items()
    return Played(simulator=simulator, signer=signers[account], gateway=gateway, config=config)


# --- the play ---------------------------------------------------------------------------------------------------------


def test_it_says_whose_it_is(played):
    name = played.gateway.name
    assert played.simulator.gateway == played.signer.gateway == name
    assert played.signer.account == played.gateway.account == account_of(name)


def test_it_knows_all_its_words(played):
    simulator = played.simulator
    said = {say.event_type for template in simulator.templates for say in template.events}
    assert said <= simulator.event_types.keys()  # None for those that write nothing
    assert simulator.ignored | simulator.fetched | simulator.totals <= simulator.event_types.keys()
    assert not simulator.ignored & simulator.fetched
    assert simulator.event_types[played.signer.pays] is PaymentState.SUCCEEDED
    assert played.signer.pays in said
    assert played.signer.pays not in simulator.ignored
    assert simulator.api is not None or not simulator.fetched


def test_it_tells_of_more_than_being_paid(played):
    templates = played.simulator.templates
    assert len({template.name for template in templates}) == len(templates)
    assert len({template.status for template in templates}) > 1
    assert len(set(played.simulator.currencies)) == len(played.simulator.currencies) > 0
    assert len(played.simulator.currencies) > 1 or not any(template.in_other_currency for template in templates)


def test_it_is_asked_if_it_can_be(played):
    assert (played.simulator.api is not None) is bool(played.gateway.queryable)


def test_its_secrets_stand_in_files_of_their_own(played):
    told = tomllib.loads(played.config.read_text())["accounts"][played.signer.account]
    settings = played.simulator.settings(played.signer)
    assert told.keys() == settings.keys() | {"gateway"} | ({"api_base"} if played.simulator.api else set())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in played.config.parent.iterdir())
    kept = list(secrets_in(settings))
    assert kept or played.simulator.impostor is None
    assert not any(secret in played.config.read_text() for secret in kept)


def secrets_in(value):
    match value:
        case Secret():
            yield value
        case dict():
            for inner in value.values():
                yield from secrets_in(inner)
        case list():
            for inner in value:
                yield from secrets_in(inner)


# --- its deliveries ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_delivery_brings_what_its_word_promises(played):
    for story in played.stories:
        for event in story.events:
            for again in (0, 1):
                verified = played.verified(played.sign(story, event, again=again))
                events, questions = played.gateway.parse(verified), played.gateway.queries_for(verified)
                ids = [event.event_id for event in events]
                due = (
                    played.simulator.event_ids(story, event) if played.simulator.carries_event(event.event_type) else []
                )
                assert ids == due, event.event_type
                assert questions or event.event_type not in played.simulator.fetched, event.event_type
                assert {each.order_ref for each in (*events, *questions)} <= {story.order_ref, None}
                assert all(problem_with(event) is None for event in events)
                assert all(event.evidence is Evidence.WEBHOOK for event in events)


def test_a_delivery_that_comes_again_brings_the_same_event(played):
    for story in played.stories:
        for event in story.events:
            once, twice = (
                played.gateway.parse(played.verified(played.sign(story, event, again=again))) for again in (0, 1)
            )
            assert once == twice, event.event_type


def test_events_of_one_story_have_ids_of_their_own(played):
    for story in played.stories:
        telling = [
            name
            for event in story.events
            if played.simulator.carries_event(event.event_type)
            for name in played.simulator.event_ids(story, event)
        ]
        assert len(played.simulator.history_event_ids(story)) == len(telling), story.name


def test_an_impostor_is_not_believed(played):
    if played.simulator.impostor is None:
        assert played.signer.amount_follows is None
        return
    impostor = played.simulator.impostor(played.signer)
    for story in played.stories[::4]:
        for event in story.events:
            with pytest.raises(BadSignature):
                played.verified(request_of(impostor, story, event))


def test_no_forgery_is_believed_whatever_the_trick(played):
    signers = {played.signer.account: played.signer}
    forger, chance, tricks = Forger(signers, impostors_of(signers)), Random(1), set()
    for story in played.stories * 3:
        forgery = forger.forge(story, chance=chance, now=NOW)
        headers = {name.lower(): [value] for name, value in forgery.signed[0].items()}
        request = Request(headers, forgery.signed[1], forgery.query)
        tricks.add(forgery.trick)
        try:
            verified = played.verified(request)
            assert forgery.trick == "invented"
            assert played.gateway.parse(verified) == ()
            assert_nothing_is_found(played, played.gateway.queries_for(verified), story)
        except Refused as refused:
            assert refused.status in (400, 401)  # noqa: PT017 - and so it may be
    assert tricks >= {"wrong_key" if played.simulator.impostor else "invented"}
    assert ("altered" in tricks) is (played.signer.amount_follows is not None)
    assert ("stale" in tricks) is played.signer.signs_time


def assert_nothing_is_found(played: Played, questions: tuple[Query, ...], story: Story) -> None:
    for query in questions:
        got = answer(played.gateway, played.api_of(story), query, now=NOW)
        assert (got.found, got.events) == (False, ())


def test_a_forgery_would_pay_its_order_if_it_were_believed(played):
    """Otherwise its acceptance could hide."""
    signers = {played.signer.account: played.signer}
    forger = Forger(signers, signers)  # its impostor holds the right keys
    forgeries = [
        (story, forger.forge(story, chance=Random(at), now=NOW)) for at, story in enumerate(played.stories * 3)
    ]
    for story, forgery in forgeries:
        if forgery.trick != "wrong_key":
            continue
        headers = {name.lower(): [value] for name, value in forgery.signed[0].items()}
        verified = played.verified(Request(headers, forgery.signed[1], forgery.query))
        if played.signer.pays in played.simulator.fetched:
            assert played.gateway.queries_for(verified)
            continue
        (event,) = played.gateway.parse(verified)
        assert (event.kind, event.amount) == (Kind.PAYMENT_SUCCEEDED, story.amount)
        assert event.order_ref in (story.order_ref, None)
        assert event.event_id not in played.simulator.history_event_ids(story)


# --- its books and its API --------------------------------------------------------------------------------------------


def test_the_books_end_as_every_story_says(played):
    for story in played.stories:
        if story.due_at == story.account and story.currency == story.due_currency:
            books = payment_at(story, played.simulator.meanings, NOW)
            assert (books.captured, books.refunded) == (story.expected.paid, story.expected.refunded), story.name


def test_every_story_ends_by_the_pure_rules_as_it_says(played):
    """In any order, and with what its gateway says where it must be asked."""
    for story in played.stories:
        events = list(events_of(played, story))
        order = Order(
            order_ref=story.order_ref,
            amount=story.amount,
            currency=story.due_currency,
            accounts=frozenset({story.due_at}),
        )
        for _ in range(5):
            Random(story.order_ref).shuffle(events)
            facts = OrderFacts()
            for event in events:
                facts = apply(facts, event)
            summary, truth = summarize(order, facts), story.expected
            found = (summary.status, summary.captured, summary.refunded)
            assert found == (truth.status, truth.paid, truth.refunded), story.name


def events_of(played: Played, story: Story):
    for event in story.events:
        verified = played.verified(played.sign(story, event))
        yield from played.gateway.parse(verified)
        for query in played.gateway.queries_for(verified):
            yield from answered(played, story, query)


def answered(played: Played, story: Story, query: Query) -> tuple[PaymentEvent, ...]:
    got = answer(played.gateway, played.api_of(story), query, now=NOW)
    assert got.found, (story.name, query)
    assert all(problem_with(event) is None for event in got.events)
    assert all(event.evidence is Evidence.QUERY for event in got.events)
    return got.events


def test_what_was_paid_is_told_to_whoever_asks(played):
    for story in played.stories:
        books = payment_at(story, played.simulator.meanings, NOW)
        questions = {
            "payment": Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref),
            "order": Query(about="payment", order_ref=story.order_ref),
        }
        for kind, query in questions.items():
            if kind in played.gateway.queryable and books.captured:
                paid = [each for each in answered(played, story, query) if each.kind is Kind.PAYMENT_SUCCEEDED]
                assert sum(each.amount for each in paid) == books.captured, (story.name, kind)
                assert {each.order_ref for each in paid} == {story.order_ref}


def test_of_a_payment_that_never_was_nothing_is_found(played):
    (story, *_) = played.stories
    other = msgspec.structs.replace(
        story, order_ref="T-999999", payment_ref=f"{played.simulator.payment_prefix}T999999"
    )
    for kind, query in (
        ("payment", Query(about="payment", order_ref=other.order_ref, payment_ref=other.payment_ref)),
        ("order", Query(about="payment", order_ref=other.order_ref)),
    ):
        if kind in played.gateway.queryable:
            assert_nothing_is_found(played, (query,), story)


# --- all of them ------------------------------------------------------------------------------------------------------


def test_gateways_are_named_in_a_list():
    assert parse_gateways("alipay, stripe,alipay") == ("alipay", "stripe")
    assert parse_gateways(ALL_GATEWAYS) == tuple(EVERYONE)
    assert set(DEFAULT_GATEWAYS) <= GATEWAYS.keys()


@pytest.mark.parametrize("names", ["", ",", "strip", "stripe,all", "../stripe", "base"])
def test_a_name_that_is_none_is_said_with_those_that_are(names):
    with pytest.raises(NoSuchGateway, match=r"there are: .*stripe, .*or all"):
        parse_gateways(names)


def test_all_of_them_stand_in_one_configuration(tmp_path):
    signers = signers_at(EVERYONE)
    place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
    write_config(tmp_path / "tillkeeper.toml", signers, **place, token="a-token-of-the-tests")
    gateways = load_settings(tmp_path / "tillkeeper.toml", {}).build_gateways()
    assert {account: gateway.name for account, gateway in gateways.items()} == {
        account_of(name): name for name in EVERYONE
    }
    assert asks_first(signers) is any(simulator_of(name).fetched for name in EVERYONE)
