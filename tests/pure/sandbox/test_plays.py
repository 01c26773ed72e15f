"""Every gateway of the registry can be played, and its play holds what sandbox/plays/base.py promises."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import msgspec
import pytest

from sandbox.accounts import account_of, asks_first, impostors_of, new_voices, write_config
from sandbox.apis.base import Api
from sandbox.forgery import Forger
from sandbox.plays import EVERY, USUAL, NoSuchGateway, find, named
from sandbox.plays.base import Kept, Play
from sandbox.story import Happening, Story, tell
from sandbox.templates import Template
from sandbox.truth.books import PaymentState, known
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tests.pure.sandbox.asking import answer
from tillkeeper import clock
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent, problem_with
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.summary import Order, summarize
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadSignature, Refused
from tillkeeper.gateways.messages import Query, Request, Verified
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.settings import load_settings

EVERYONE = sorted(GATEWAYS)
NOW = clock.now().replace(microsecond=0)  # of the real clock: a play may issue certificates that begin today


@dataclass(frozen=True)
class Played:
    """One gateway: its play, an account of it, and the receiver's side set up from the file that `--up` writes."""

    play: Play
    voice: Voice
    gateway: Gateway
    config: Path

    def say(self, story: Story, happening: Happening, *, again: int = 0) -> Request:
        return request_of(self.voice, story, happening, again=again)

    def verified(self, request: Request) -> Verified:
        return self.gateway.verify(request, NOW)

    @cached_property
    def stories(self) -> list[Story]:
        return [story for template in self.play.templates for story in told(self.play, template)]

    def api_of(self, *stories: Story) -> Api:
        make: Callable | None = self.play.api
        assert make is not None
        return make(self.voice, Ledger({self.voice.account: self.play.gateway}, stories))


def told(play: Play, template: Template, count: int = 4) -> list[Story]:
    """Stories of one kind, with other gaps, currencies and amounts each; paid at the account -main."""
    accounts = dict.fromkeys((account_of(play.gateway), "elsewhere"), play.gateway)
    templates = {play.gateway: (template,)}
    stories = (tell(7, at, run="T", now=NOW, accounts=accounts, templates=templates) for at in range(100))
    return [it for it in stories if it.account != "elsewhere"][:count]


def request_of(voice: Voice, story: Story, happening: Happening, *, again: int = 0) -> Request:
    headers, body = voice.say(story, happening, now=NOW, again=again)
    headers = {name.lower(): [value] for name, value in headers.items()}
    return Request(headers, body, voice.query(story, happening))


@pytest.fixture(scope="module", params=EVERYONE)
def played(request, tmp_path_factory) -> Played:
    voices = new_voices([request.param])
    config = tmp_path_factory.mktemp(request.param) / "tillkeeper.toml"
    place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
    play, bases = find(request.param), {account_of(request.param): "http://127.0.0.1:1"}
    write_config(config, voices, **place, token="a-token-of-the-tests", bases=bases if play.api else {})
    ((account, gateway),) = load_settings(config, {}).build_gateways().items()
    return Played(play=play, voice=voices[account], gateway=gateway, config=config)


# --- the play ---------------------------------------------------------------------------------------------------------


def test_it_says_whose_it_is(played):
    name = played.gateway.name
    assert played.play.gateway == played.voice.gateway == name
    assert played.voice.account == played.gateway.account == account_of(name)


def test_it_knows_all_its_words(played):
    play = played.play
    said = {say.word for it in play.templates for say in it.says}
    assert said <= play.words.keys()  # None for those that write nothing
    assert play.silent | play.fetched | play.totals <= play.words.keys()
    assert not play.silent & play.fetched
    assert play.words[played.voice.pays] is PaymentState.SUCCEEDED
    assert played.voice.pays in said
    assert played.voice.pays not in play.silent
    assert play.api is not None or not play.fetched


def test_it_tells_of_more_than_being_paid(played):
    templates = played.play.templates
    assert len({it.name for it in templates}) == len(templates)
    assert len({it.status for it in templates}) > 1
    assert len(set(played.play.currencies)) == len(played.play.currencies) > 0
    assert len(played.play.currencies) > 1 or not any(it.in_other_currency for it in templates)


def test_it_is_asked_if_it_can_be(played):
    assert (played.play.api is not None) is bool(played.gateway.queryable)


def test_its_secrets_stand_in_files_of_their_own(played):
    told = tomllib.loads(played.config.read_text())["accounts"][played.voice.account]
    settings = played.play.settings(played.voice)
    assert told.keys() == settings.keys() | {"gateway"} | ({"api_base"} if played.play.api else set())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in played.config.parent.iterdir())
    kept = list(secrets_in(settings))
    assert kept or played.play.impostor is None
    assert not any(secret in played.config.read_text() for secret in kept)


def secrets_in(value):
    match value:
        case Kept():
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
        for happening in story.happenings:
            for again in (0, 1):
                verified = played.verified(played.say(story, happening, again=again))
                events, questions = played.gateway.parse(verified), played.gateway.queries_for(verified)
                ids = [event.event_id for event in events]
                due = played.play.event_ids(story, happening) if played.play.tells(happening.word) else []
                assert ids == due, happening.word
                assert questions or happening.word not in played.play.fetched, happening.word
                assert {it.order_ref for it in (*events, *questions)} <= {story.order_ref, None}
                assert all(problem_with(event) is None for event in events)
                assert all(event.evidence is Evidence.WEBHOOK for event in events)


def test_a_delivery_that_comes_again_brings_the_same_event(played):
    for story in played.stories:
        for happening in story.happenings:
            once, twice = (
                played.gateway.parse(played.verified(played.say(story, happening, again=again))) for again in (0, 1)
            )
            assert once == twice, happening.word


def test_events_of_one_story_have_ids_of_their_own(played):
    for story in played.stories:
        telling = [
            name for it in story.happenings if played.play.tells(it.word) for name in played.play.event_ids(story, it)
        ]
        assert len(played.play.telling(story)) == len(telling), story.name


def test_an_impostor_is_not_believed(played):
    if played.play.impostor is None:
        assert played.voice.amount_follows is None
        return
    impostor = played.play.impostor(played.voice)
    for story in played.stories[::4]:
        for happening in story.happenings:
            with pytest.raises(BadSignature):
                played.verified(request_of(impostor, story, happening))


def test_no_forgery_is_believed_whatever_the_trick(played):
    voices = {played.voice.account: played.voice}
    forger, chance, tricks = Forger(voices, impostors_of(voices)), Random(1), set()
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
    assert tricks >= {"wrong_key" if played.play.impostor else "invented"}
    assert ("altered" in tricks) is (played.voice.amount_follows is not None)
    assert ("stale" in tricks) is played.voice.signs_time


def assert_nothing_is_found(played: Played, questions: tuple[Query, ...], story: Story) -> None:
    for query in questions:
        got = answer(played.gateway, played.api_of(story), query, now=NOW)
        assert (got.found, got.events) == (False, ())


def test_a_forgery_would_pay_its_order_if_it_were_believed(played):
    """Otherwise its acceptance could hide."""
    voices = {played.voice.account: played.voice}
    forger = Forger(voices, voices)  # its impostor holds the right keys
    forgeries = [(it, forger.forge(it, chance=Random(at), now=NOW)) for at, it in enumerate(played.stories * 3)]
    for story, forgery in forgeries:
        if forgery.trick != "wrong_key":
            continue
        headers = {name.lower(): [value] for name, value in forgery.signed[0].items()}
        verified = played.verified(Request(headers, forgery.signed[1], forgery.query))
        if played.voice.pays in played.play.fetched:
            assert played.gateway.queries_for(verified)
            continue
        (event,) = played.gateway.parse(verified)
        assert (event.kind, event.amount) == (Kind.PAYMENT_SUCCEEDED, story.amount)
        assert event.order_ref in (story.order_ref, None)
        assert event.event_id not in played.play.telling(story)


# --- its books and its API --------------------------------------------------------------------------------------------


def test_the_books_end_as_every_story_says(played):
    for story in played.stories:
        if story.due_at == story.account and story.currency == story.due_currency:
            books = known(story, played.play.gateway, NOW)
            assert (books.captured, books.refunded) == (story.truth.paid, story.truth.refunded), story.name


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
            summary, truth = summarize(order, facts), story.truth
            found = (summary.status, summary.captured, summary.refunded)
            assert found == (truth.status, truth.paid, truth.refunded), story.name


def events_of(played: Played, story: Story):
    for happening in story.happenings:
        verified = played.verified(played.say(story, happening))
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
        books = known(story, played.play.gateway, NOW)
        questions = {
            "payment": Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref),
            "order": Query(about="payment", order_ref=story.order_ref),
        }
        for kind, query in questions.items():
            if kind in played.gateway.queryable and books.captured:
                paid = [it for it in answered(played, story, query) if it.kind is Kind.PAYMENT_SUCCEEDED]
                assert sum(it.amount for it in paid) == books.captured, (story.name, kind)
                assert {it.order_ref for it in paid} == {story.order_ref}


def test_of_a_payment_that_never_was_nothing_is_found(played):
    (story, *_) = played.stories
    other = msgspec.structs.replace(story, order_ref="T-999999", payment_ref=f"{played.play.payment_prefix}T999999")
    for kind, query in (
        ("payment", Query(about="payment", order_ref=other.order_ref, payment_ref=other.payment_ref)),
        ("order", Query(about="payment", order_ref=other.order_ref)),
    ):
        if kind in played.gateway.queryable:
            assert_nothing_is_found(played, (query,), story)


# --- all of them ------------------------------------------------------------------------------------------------------


def test_gateways_are_named_in_a_list():
    assert named("alipay, stripe,alipay") == ("alipay", "stripe")
    assert named(EVERY) == tuple(EVERYONE)
    assert set(USUAL) <= GATEWAYS.keys()


@pytest.mark.parametrize("names", ["", ",", "strip", "stripe,all", "../stripe", "base"])
def test_a_name_that_is_none_is_said_with_those_that_are(names):
    with pytest.raises(NoSuchGateway, match=r"there are: .*stripe, .*or all"):
        named(names)


def test_all_of_them_stand_in_one_configuration(tmp_path):
    voices = new_voices(EVERYONE)
    place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
    write_config(tmp_path / "tillkeeper.toml", voices, **place, token="a-token-of-the-tests")
    gateways = load_settings(tmp_path / "tillkeeper.toml", {}).build_gateways()
    assert {account: it.name for account, it in gateways.items()} == {account_of(name): name for name in EVERYONE}
    assert asks_first(voices) is any(find(name).fetched for name in EVERYONE)
