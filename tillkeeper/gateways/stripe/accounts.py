"""Decides whose an event of Stripe is: one destination may hear of a platform's connected accounts, or of an
organization's.

| the destination hears of | `account` | `context` |
| --- | --- | --- |
| its own account | - | - |
| the accounts connected to a platform | the connected one | the connected one, since API release basil |
| the accounts of an organization | - | the account |
| those connected to an organization's platforms | the connected one | platform/connected |

Sources: docs.stripe.com, changelog basil 2025-04-30 ("Adds context field to event payload") and dahlia 2026-03-25
(`events_from`), "Context"; the package `stripe` 16.1, `_stripe_context.py`.
"""

from enum import Enum, auto
from typing import Final

import msgspec

ACCOUNT_PATTERN: Final = "^acct_[A-Za-z0-9]{1,64}$"


class Whose(Enum):
    """The answer to whose an event is."""

    OURS = auto()
    OTHERS = auto()
    DOUBT = auto()  # of an account that an organization's destination names, and we do not know which ours is


class Owner(msgspec.Struct, frozen=True):
    """The Stripe account that this account stands for: our own, or one that is connected to our platform."""

    account_id: str | None
    connected: str | None

    def whose(self, account: str | None, context: str | None) -> Whose:
        """Tells whose an event is by its fields `account` and `context`."""
        path = context.split("/") if context else []
        if self.connected is None:
            return Whose.OTHERS if account is not None else self._own(path)
        named = {each for each in (account, path[-1] if path else None) if each is not None}
        platform = path[0] if len(path) > 1 else None
        if named != {self.connected} or (platform and self.account_id and platform != self.account_id):
            return Whose.OTHERS
        return Whose.OURS

    def _own(self, path: list[str]) -> Whose:
        if not path or path == [self.account_id]:
            return Whose.OURS
        return Whose.DOUBT if self.account_id is None and len(path) == 1 else Whose.OTHERS

    def headers(self, *, organization: bool) -> dict[str, str]:
        """Returns the headers that make a call on the account's behalf.

        `organization` says that the key is an organization's.
        """
        if organization and self.account_id is not None:
            return {"Stripe-Context": "/".join(each for each in (self.account_id, self.connected) if each is not None)}
        return {} if self.connected is None else {"Stripe-Account": self.connected}
