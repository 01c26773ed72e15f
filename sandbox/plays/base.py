"""What the sandbox must be told to play a gateway.  `sandbox/plays/NAME.py` defines `PLAY` for the gateway NAME.

templates ──> story ──> voice.say: the signed delivery ──> the receiver
     └─ words ──> books ──> api.answer: what the gateway says when it is asked
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from sandbox.apis.base import Api
from sandbox.story import Happening, Story
from sandbox.templates import Template
from sandbox.truth.books import PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice


class Kept(str):
    """A secret of the configuration: kept in a file of its own, and named there as file:PATH."""

    __slots__ = ()


Setting: TypeAlias = "str | bool | Sequence[Setting] | Mapping[str, Setting]"


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway as the sandbox plays it.

    `words` tells what each of the gateway's words writes into its books, None where nothing, as with disputes; `silent`
    are words that are accepted and change nothing; `fetched` are words whose delivery carries no event, so that what
    happened is known only once the gateway was asked; `totals` are words of refunds whose amount is all that was given
    back so far, `parts` words of which each captures a part of the payment.  `payment_prefix` begins payment references
    in the shape of the gateway's own; without one the payment goes by its order's.

    `renamed` is the id that the event of a delivery has where that is not the happening's own `event_id`; `also` is
    what a second event's id ends in, by the word that brings two.

    `new_voice` makes an account of that name with fresh keys, `impostor` the same account with keys that nobody
    configured (None where nothing is signed).  `settings` is what the configuration says of it, without `gateway` and
    `api_base`; secrets are Kept.  `api` answers what the account is asked, and is None where it cannot be; `api_path`
    is what the configuration's api_base has behind the host.
    """

    gateway: str
    words: Mapping[str, PaymentState | RefundState | None]
    silent: frozenset[str] = frozenset()
    fetched: frozenset[str] = frozenset()
    totals: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    renamed: Callable[[Story, Happening], str] | None = None
    also: Mapping[str, str] = MappingProxyType({})
    templates: tuple[Template, ...]
    currencies: tuple[str, ...]
    payment_prefix: str
    new_voice: Callable[[str], Voice]
    impostor: Callable[[Voice], Voice] | None
    settings: Callable[[Voice], Mapping[str, Setting]]
    api: Callable[[Voice, Ledger], Api] | None
    api_path: str = ""

    def tells(self, word: str) -> bool:
        """Whether the delivery of this word carries an event."""
        return word not in self.silent and word not in self.fetched

    def event_id(self, story: Story, happening: Happening) -> str:
        """The id of the event in the happening's delivery."""
        return happening.event_id if self.renamed is None else self.renamed(story, happening)

    def telling(self, story: Story) -> frozenset[str]:
        """The ids of the events that webhooks must bring into the order's history, each once."""
        return frozenset(name for it in story.happenings if self.tells(it.word) for name in self.event_ids(story, it))

    def event_ids(self, story: Story, happening: Happening) -> list[str]:
        """The ids of all events in the happening's delivery."""
        own = self.event_id(story, happening)
        return [own, f"{own}:{self.also[happening.word]}"] if happening.word in self.also else [own]
