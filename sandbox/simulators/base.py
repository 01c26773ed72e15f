"""Defines what a simulator is.  `sandbox/simulators/NAME/simulator.py` defines `SIMULATOR` for the gateway NAME.

templates ──> story ──> signer.sign: the signed delivery ──> the receiver
                 └────> ledger ──> api.respond: what the gateway says when it is asked
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from tillkeeper.sandbox.apis.base import Api
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import EventMeanings, PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.story import Story, StoryEvent
from tillkeeper.sandbox.templates import Template


class Secret(str):
    """A secret of the configuration: kept in a file of its own, and named there as file:PATH."""

    __slots__ = ()


Setting: TypeAlias = "str | bool | Sequence[Setting] | Mapping[str, Setting]"


class Simulator(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway as the sandbox simulates it.

    `event_types` says what each of the gateway's event types writes into its ledger, None where nothing, as with
    disputes.  `ignored` are types that Tillkeeper accepts without a change; `fetched` are types whose delivery carries
    no event, so that only a query tells what happened.  `totals` are types of refunds whose amount is all that was
    given back so far, `parts` types of which each captures a part of the payment.  `payment_prefix` begins payment
    references in the shape of the gateway's own; without one the payment has its order's reference.

    `query_of` gives what stands behind the query mark of the URL that is posted to, raw.

    `event_id_of` gives the id that Tillkeeper's event must have where that is not the story event's own `event_id`;
    `second_events` is what a second event's id ends in, by the event type that brings two.

    `new_signer` makes an account of that name with fresh keys, `impostor` the same account with keys that nobody
    configured (None where nothing is signed).  `settings` is what the configuration says of it, without `gateway` and
    `api_base`; each secret is a `Secret`.  `api` answers queries about the account, and is None where there are
    none; `api_path` is what the configuration's api_base has behind the host.
    """

    gateway: str
    event_types: Mapping[str, PaymentState | RefundState | None]
    ignored: frozenset[str] = frozenset()
    fetched: frozenset[str] = frozenset()
    totals: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    event_id_of: Callable[[Story, StoryEvent], str] | None = None
    query_of: Callable[[Story, StoryEvent], str] = lambda _story, _event: ""
    second_events: Mapping[str, str] = MappingProxyType({})
    templates: tuple[Template, ...]
    currencies: tuple[str, ...]
    payment_prefix: str
    new_signer: Callable[[str], Signer]
    impostor: Callable[[Signer], Signer] | None
    settings: Callable[[Signer], Mapping[str, Setting]]
    api: Callable[[Signer, Ledger], Api] | None
    api_path: str = ""

    @property
    def meanings(self) -> EventMeanings:
        """What its event types write into its ledger."""
        return EventMeanings(states=self.event_types, totals=self.totals, parts=self.parts)

    def carries_event(self, event_type: str) -> bool:
        """Returns whether the delivery of this event type carries an event."""
        return event_type not in self.ignored and event_type not in self.fetched

    def event_id(self, story: Story, event: StoryEvent) -> str:
        """Returns the id of the event that Tillkeeper must read from the delivery."""
        return event.event_id if self.event_id_of is None else self.event_id_of(story, event)

    def history_event_ids(self, story: Story) -> frozenset[str]:
        """Returns the ids of the events that webhooks must bring into the order's history, each once."""
        return frozenset(
            name
            for event in story.events
            if self.carries_event(event.event_type)
            for name in self.event_ids(story, event)
        )

    def event_ids(self, story: Story, event: StoryEvent) -> list[str]:
        """Returns the ids of all events that Tillkeeper must read from the delivery."""
        own = self.event_id(story, event)
        second = self.second_events.get(event.event_type)
        return [own] if second is None else [own, f"{own}:{second}"]
