"""Chooses the gateway's own word for a kind of event, and makes the delivery that says it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.statuses import Status
from tillkeeper.sandbox.formats import Signed, word_of
from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Simulator
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent, bare
from tillkeeper.sandbox.trigger.keyring import signer_class

# By the state that a word writes into the gateway's books.  A payment's and a refund's states are spelt alike.
PAYMENT_KINDS: Final[Mapping[PaymentState, Kind]] = MappingProxyType(
    {
        PaymentState.PENDING: Kind.PAYMENT_PENDING,
        PaymentState.AUTHORIZED: Kind.PAYMENT_AUTHORIZED,
        PaymentState.SUCCEEDED: Kind.PAYMENT_SUCCEEDED,
        PaymentState.FAILED: Kind.PAYMENT_FAILED,
        PaymentState.CANCELLED: Kind.PAYMENT_CANCELLED,
        PaymentState.REVERSED: Kind.PAYMENT_REVERSED,
    }
)
REFUND_KINDS: Final[Mapping[RefundState, Kind]] = MappingProxyType(
    {
        RefundState.PENDING: Kind.REFUND_PENDING,
        RefundState.SUCCEEDED: Kind.REFUND_SUCCEEDED,
        RefundState.FAILED: Kind.REFUND_FAILED,
    }
)
# What can be said of a payment of which nothing was said before.
FIRST: Final = frozenset({Kind.PAYMENT_PENDING, Kind.PAYMENT_AUTHORIZED, Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})
NOTHING_EXPECTED: Final = ExpectedOrder(status=Status.UNPAID, paid=0, refunded=0)


class NoSuchWord(Exception):
    """The gateway is not simulated saying this; the text says which words there are."""


class WantedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery is to say.  `amount` is in minor units."""

    order_ref: str
    amount: int
    currency: str
    payment_ref: str | None = None
    refund_ref: str | None = None


def sent_words(simulator: Simulator) -> list[str]:
    """Returns the words that the gateway sends, in the order of its table."""
    sent = {event.event_type for template in simulator.templates for event in template.events}
    return [word for word in simulator.event_types if word in sent]


def words_by_kind(gateway: str) -> dict[Kind, str]:
    """Returns the word that a gateway is made to say for each kind of event."""
    simulator = simulator_of(gateway)
    pays = signer_class(gateway).pays
    found: dict[Kind, str] = {}
    for word in (pays, *sorted(sent_words(simulator), key=lambda word: not simulator.carries_event(word))):
        kind = _kind_of(simulator, word)
        if kind is not None and word not in simulator.ignored:
            found.setdefault(kind, word)
    return {kind: found[kind] for kind in Kind if kind in found}


def _kind_of(simulator: Simulator, word: str) -> Kind | None:
    state = simulator.event_types[word]
    if isinstance(state, PaymentState):
        return PAYMENT_KINDS.get(state)
    return REFUND_KINDS.get(state) if state is not None else None


def word_for(gateway: str, said: str) -> str:
    """Returns the word for a kind of event, or for itself.  Raises NoSuchWord."""
    by_kind = words_by_kind(gateway)
    words = sent_words(simulator_of(gateway))
    if said in words:
        return said
    for kind, word in by_kind.items():
        if kind == said:
            return word
    own = ", ".join(word for word in words if word not in by_kind.values())
    raise NoSuchWord(
        f"{gateway} is not simulated saying {said!r}; there are: {', '.join(by_kind)}"
        + (f"; in its own words: {own}" if own else "")
    )


def delivery_of(
    signer: Signer, word: str, wanted: WantedDelivery, *, event_id: str, now: datetime
) -> tuple[Signed, str]:
    """Returns the signed delivery, and what stands behind the question mark of its URL."""
    simulator = simulator_of(signer.gateway)
    event = _event(word, wanted, event_id, now.replace(microsecond=0))
    story = _story(signer, simulator, event, wanted)
    return signer.sign(story, event, now=now, again=0), simulator.query_of(story, event)


def _event(word: str, wanted: WantedDelivery, event_id: str, at: datetime) -> StoryEvent:
    refund_ref = wanted.refund_ref or f"re_{_plain(wanted.order_ref)}1"
    return StoryEvent(event_type=word, event_id=event_id, at=at, amount=wanted.amount, refund_ref=refund_ref)


def _story(signer: Signer, simulator: Simulator, event: StoryEvent, wanted: WantedDelivery) -> Story:
    """Returns the story that the event belongs to: where money must have come in before, it did a minute ago."""
    is_first = event.event_type == signer.pays or _kind_of(simulator, event.event_type) in FIRST
    paid_at = event.at - timedelta(minutes=1)
    paid = msgspec.structs.replace(event, event_type=signer.pays, event_id=f"{event.event_id}0", at=paid_at)
    return Story(
        name="triggered",
        account=signer.account,
        order_ref=wanted.order_ref,
        payment_ref=wanted.payment_ref or _payment_ref(simulator, wanted.order_ref),
        amount=wanted.amount,
        currency=wanted.currency,
        due_currency=wanted.currency,
        due_at=signer.account,
        started_at=paid_at - timedelta(minutes=1),
        events=(event,) if is_first else (paid, event),
        expected=NOTHING_EXPECTED,
    )


def _payment_ref(simulator: Simulator, order_ref: str) -> str:
    return f"{simulator.payment_prefix}{_plain(order_ref)}" if simulator.payment_prefix else order_ref


def _plain(order_ref: str) -> str:
    """Returns the order's reference as part of a gateway's own, which have letters and digits only."""
    plain = bare(order_ref)
    return plain if plain.isascii() and plain.isalnum() else word_of(order_ref)
