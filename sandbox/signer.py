"""Defines a gateway's signer, which makes of a story's event the signed request that the gateway would send."""

from datetime import datetime
from typing import ClassVar, Protocol

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.story import Story, StoryEvent


class Signer(Protocol):
    """One account at one gateway, as the gateway itself holds it."""

    gateway: ClassVar[str]
    pays: ClassVar[str]  # the word that makes an order paid
    signs_time: ClassVar[bool]  # whether an old signature can be told from a new one
    amount_follows: ClassVar[bytes | None]  # before a byte of the body that nobody may change, if there is one

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Returns the delivery, signed at `now`; `again` is 1 for the first repetition."""
        ...
