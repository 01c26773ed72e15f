"""What a fuzz run makes of a gateway's API: genuine answers of the play's own, and what may become of spoilt ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from urllib.parse import urlsplit

import msgspec
from meaning import money_of
from mutations import MUTATIONS, PLAIN_MUTATIONS
from playwalk import put_of
from specimen import NOW, Specimen

from sandbox.apis.base import Api
from sandbox.plays.base import Play, Voice
from sandbox.story import Story
from sandbox.truth.books import RefundState
from sandbox.truth.ledger import Ledger
from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import (
    Answer,
    AskAgain,
    Call,
    CannotAsk,
    Denied,
    Heard,
    Page,
    Question,
    Refused,
    Request,
)
from tillkeeper.gateways.registry import build

NONCE = "0123456789abcdef0123456789abcdef"
NOT_HEARD = (Refused, AskAgain, Denied)  # what `hear` and its like may raise
SEALED_SHARE = 0.5  # where answers are signed: sealed anew after being spoilt
OTHER_STATUS_SHARE = 0.1
OTHER_STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503)


@dataclass(frozen=True)
class Exchange:
    """A call to the API, and what answers it."""

    call: Call
    hear: Callable[[Heard], object]
    heard: Heard

    @property
    def meant(self) -> tuple[PaymentEvent, ...]:
        """What the genuine answer says, if it says anything."""
        try:
            return events_in(self.hear(self.heard))
        except NOT_HEARD:  # such as that it knows of no such refund
            return ()


def exchanges_of(play: Play, voice: Voice, settings: AccountModel, story: Story, told: Sequence) -> Iterator[Exchange]:
    """All that can be asked at a story's end.  `told` is what its deliveries brought, events and questions."""
    if play.api is None:
        return
    api = play.api(voice, Ledger({voice.account: play.gateway}, [story]))
    gateway = build(voice.account, settings)
    at = max([story.started_at, *(it.at for it in story.happenings)]) + timedelta(minutes=1)
    token = {}
    if (call := gateway.sign_in(now=at)) is not None:
        signing_in = exchange(api, at, call, lambda heard: gateway.hear_sign_in(heard, now=at))
        yield signing_in
        token = {"Authorization": f"Bearer {signing_in.hear(signing_in.heard).value}"}
    if (keys := gateway.refresh(now=at, nonce=NONCE)) is not None:
        # By another gateway each time, for keys are remembered.
        yield exchange(api, at, keys, lambda heard: build(voice.account, settings).learn(keys, heard, now=at))
    with suppress(CannotAsk):
        listed = gateway.ask_events(since=at - timedelta(days=1), until=at, after=None)
        yield exchange(api, at, listed, gateway.hear_events)
    for question in dict.fromkeys(questions_of(play, story, told)):
        with suppress(CannotAsk):
            asked = gateway.ask(question, now=at, nonce=NONCE)
            asked = msgspec.structs.replace(asked, headers={**asked.headers, **token})
            yield exchange(api, at, asked, lambda heard, it=question: gateway.hear(it, heard, now=at))


def exchange(api: Api, at: datetime, call: Call, hear: Callable[[Heard], object]) -> Exchange:
    told = api.answer(put_of(call), now=at, knows_at=at)
    sealed = api.sealed(told, now=at)
    headers = {name.lower(): [value] for name, value in sealed.headers.items()}
    return Exchange(call, hear, Heard(status=sealed.status, headers=headers, body=sealed.body))


def questions_of(play: Play, story: Story, told: Sequence[object]) -> Iterator[Question]:
    """By every reference that its deliveries told."""
    yield from (it for it in told if isinstance(it, Question))
    payment_ref = next((it.payment_ref for it in told if it.payment_ref), story.payment_ref)
    by_payment = Question(about="payment", order_ref=story.order_ref, payment_ref=payment_ref)
    yield from (by_payment, Question(about="payment", order_ref=story.order_ref))
    for happening in story.happenings:
        if isinstance(play.words.get(happening.word), RefundState):
            yield msgspec.structs.replace(by_payment, about="refund", refund_ref=happening.refund_ref)


def spoilt(chance: Random, one: Exchange, other: Exchange) -> tuple[str, Exchange]:
    """The answer changed on its way."""
    kind = chance.choice(list(MUTATIONS))
    request = MUTATIONS[kind](chance, _as_request(one.heard), _as_request(other.heard))
    status = chance.choice(OTHER_STATUSES) if chance.random() < OTHER_STATUS_SHARE else one.heard.status
    return kind, replace(one, heard=Heard(status=status, headers=request.headers, body=request.body))


def sealed(chance: Random, specimen: Specimen) -> tuple[str, Exchange]:
    """An answer that nobody but the API could give, and would not, signed as it signs."""
    kind, asked = chance.choice(list(PLAIN_MUTATIONS)), chance.choice(list(specimen.asked.values()))
    call = specimen.gateway.ask(asked.question, now=NOW, nonce=NONCE)
    heard = asked.seal(PLAIN_MUTATIONS[kind](chance, asked.plain))
    return kind, Exchange(call, lambda it: specimen.gateway.hear(asked.question, it, now=NOW), heard)


def _as_request(heard: Heard) -> Request:
    return Request(heard.headers, heard.body)


def problem_with_answer(got: object, call: Call, account: str, known: Sequence[PaymentEvent] | None) -> str:
    """What is wrong with what was heard in a response; nothing mostly.

    `known` is what the genuine answers say, where a signature keeps others from being made of them.
    """
    events = events_in(got)
    if not all(it.account == account and problem_with(it) is None and is_bounded(it) for it in events):
        return f"it was heard as {got!r}"
    if known is not None and not all(it in money_of(known) for it in money_of(events)):
        return f"nobody signed what was heard: {got!r}"
    host = urlsplit(call.url).netloc
    if not all(urlsplit(it.url).netloc == host for it in (got.then if isinstance(got, Answer) else ())):
        return f"it leads elsewhere: {got!r}"
    return ""


def events_in(got: object) -> tuple[PaymentEvent, ...]:
    """None where it is a token, or keys that were learnt."""
    return got.events if isinstance(got, Answer | Page) else ()


def is_bounded(event: PaymentEvent) -> bool:
    return all(0 <= it <= AMOUNT_MINOR_MAX for it in (event.amount, event.total) if it is not None)
