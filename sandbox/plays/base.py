"""What the sandbox must be told to play a gateway.  `sandbox/plays/NAME.py` defines `PLAY` for the gateway NAME.

templates ──> story ──> voice.say: the signed delivery ──> the receiver
     └─ words ──> books ──> api.answer: what the gateway says when it is asked
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from sandbox.apis.base import Api
from sandbox.templates import Template
from sandbox.truth.books import PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice


class Kept(str):
    """A secret of the configuration: kept in a file of its own, and named there as file:PATH."""

    __slots__ = ()


Setting: TypeAlias = "str | bool | list[str] | dict[str, str]"


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway as the sandbox plays it.

    `words` tells what each of the gateway's words writes into its books; `silent` are words that are accepted and
    change nothing; `fetched` are words whose delivery carries no event, so that what happened is known only once the
    gateway was asked.  `payment_prefix` begins payment references in the shape of the gateway's own.

    `new_voice` makes an account of that name with fresh keys, `impostor` the same account with keys that nobody
    configured (None where nothing is signed).  `settings` is what the configuration says of it, without `gateway` and
    `api_base`; secrets are Kept.  `api` answers what the account is asked, and is None where it cannot be; `api_path`
    is what the configuration's api_base has behind the host.
    """

    gateway: str
    words: Mapping[str, PaymentState | RefundState]
    silent: frozenset[str] = frozenset()
    fetched: frozenset[str] = frozenset()
    templates: tuple[Template, ...]
    currencies: tuple[str, ...]
    payment_prefix: str
    new_voice: Callable[[str], Voice]
    impostor: Callable[[Voice], Voice] | None
    settings: Callable[[Voice], Mapping[str, Setting]]
    api: Callable[[Voice, Ledger], Api] | None
    api_path: str = ""
