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
from simulator_walk import put_of
from specimen import NOW, Specimen

from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.errors import AccessDenied, CannotQuery, Refused, Unavailable
from tillkeeper.gateways.messages import Answer, Call, EventPage, Query, Request, Response
from tillkeeper.gateways.registry import build
from tillkeeper.sandbox.apis.base import Api
from tillkeeper.sandbox.ledger.payments import RefundState
from tillkeeper.sandbox.simulators.base import Signer, Simulator
from tillkeeper.sandbox.simulators.registry import ledger_of
from tillkeeper.sandbox.story import Story

NONCE = "0123456789abcdef0123456789abcdef"
NOT_HEARD = (Refused, Unavailable, AccessDenied)  # what `read_response` and its like may raise
SEALED_SHARE = 0.5  # where answers are signed: sealed anew after being spoilt
OTHER_STATUS_SHARE = 0.1
OTHER_STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503)


@dataclass(frozen=True)
class Exchange:
    """A call to the API, and what answers it."""

    call: Call
    read_response: Callable[[Response], object]
    response: Response

    @property
    def meant(self) -> tuple[PaymentEvent, ...]:
        """What the genuine answer says, if it says anything."""
        try:
            return events_in(self.read_response(self.response))
        except NOT_HEARD:  # such as that it knows of no such refund
            return ()


def exchanges_of(
    simulator: Simulator, signer: Signer, settings: AccountModel, story: Story, told: Sequence
) -> Iterator[Exchange]:
    """All that can be asked at a story's end.  `told` is what its deliveries brought, events and queries."""
    if simulator.api is None:
        return
    api = simulator.api(signer, ledger_of({signer.account: simulator.gateway}, [story]))
    gateway = build(signer.account, settings)
    at = max([story.started_at, *(event.at for event in story.events)]) + timedelta(minutes=1)
    token = {}
    if (call := gateway.token_request(now=at)) is not None:
        signing_in = exchange(api, at, call, lambda response: gateway.read_token(response, now=at))
        yield signing_in
        token = {"Authorization": f"Bearer {signing_in.read_response(signing_in.response).value}"}
    if (keys := gateway.key_refresh_request(now=at, nonce=NONCE)) is not None:
        # By another gateway each time, for keys are remembered.
        yield exchange(api, at, keys, lambda response: build(signer.account, settings).read_key(keys, response, now=at))
    with suppress(CannotQuery):
        listed = gateway.events_request(since=at - timedelta(days=1), until=at, after=None)
        yield exchange(api, at, listed, gateway.read_events)
    for query in dict.fromkeys(questions_of(simulator, story, told)):
        with suppress(CannotQuery):
            asked = gateway.query_request(query, now=at, nonce=NONCE)
            asked = msgspec.structs.replace(asked, headers={**asked.headers, **token})
            yield exchange(
                api, at, asked, lambda response, asked_now=query: gateway.read_response(asked_now, response, now=at)
            )


def exchange(api: Api, at: datetime, call: Call, read_response: Callable[[Response], object]) -> Exchange:
    told = api.respond(put_of(call), now=at, as_of=at)
    sealed = api.signed(told, now=at)
    headers = {name.lower(): [value] for name, value in sealed.headers.items()}
    return Exchange(call, read_response, Response(status=sealed.status, headers=headers, body=sealed.body))


def questions_of(simulator: Simulator, story: Story, told: Sequence[object]) -> Iterator[Query]:
    """By every reference that its deliveries told."""
    yield from (each for each in told if isinstance(each, Query))
    payment_ref = next((each.payment_ref for each in told if each.payment_ref), story.payment_ref)
    by_payment = Query(about="payment", order_ref=story.order_ref, payment_ref=payment_ref)
    yield from (by_payment, Query(about="payment", order_ref=story.order_ref))
    for event in story.events:
        if isinstance(simulator.event_types.get(event.event_type), RefundState):
            yield msgspec.structs.replace(by_payment, about="refund", refund_ref=event.refund_ref)


def spoilt(chance: Random, one: Exchange, other: Exchange) -> tuple[str, Exchange]:
    """The answer changed on its way."""
    kind = chance.choice(list(MUTATIONS))
    request = MUTATIONS[kind](chance, _as_request(one.response), _as_request(other.response))
    status = chance.choice(OTHER_STATUSES) if chance.random() < OTHER_STATUS_SHARE else one.response.status
    return kind, replace(one, response=Response(status=status, headers=request.headers, body=request.body))


def sealed(chance: Random, specimen: Specimen) -> tuple[str, Exchange]:
    """An answer that nobody but the API could give, and would not, signed as it signs."""
    kind, asked = chance.choice(list(PLAIN_MUTATIONS)), chance.choice(list(specimen.asked.values()))
    call = specimen.gateway.query_request(asked.query, now=NOW, nonce=NONCE)
    response = asked.seal(PLAIN_MUTATIONS[kind](chance, asked.plain))
    return kind, Exchange(call, lambda each: specimen.gateway.read_response(asked.query, each, now=NOW), response)


def _as_request(response: Response) -> Request:
    return Request(response.headers, response.body)


def problem_with_answer(got: object, call: Call, account: str, known: Sequence[PaymentEvent] | None) -> str:
    """What is wrong with what was heard in a response; nothing mostly.

    `known` is what the genuine answers say, where a signature keeps others from being made of them.
    """
    events = events_in(got)
    if not all(event.account == account and problem_with(event) is None and is_bounded(event) for event in events):
        return f"it was heard as {got!r}"
    if known is not None and not all(each in money_of(known) for each in money_of(events)):
        return f"nobody signed what was heard: {got!r}"
    host = urlsplit(call.url).netloc
    if not all(urlsplit(each.url).netloc == host for each in (got.then if isinstance(got, Answer) else ())):
        return f"it leads elsewhere: {got!r}"
    return ""


def events_in(got: object) -> tuple[PaymentEvent, ...]:
    """None where it is a token, or keys that were learnt."""
    return got.events if isinstance(got, Answer | EventPage) else ()


def is_bounded(event: PaymentEvent) -> bool:
    return all(0 <= each <= AMOUNT_MINOR_MAX for each in (event.amount, event.total) if each is not None)
