"""Makes forged deliveries: each claims that an order is paid in full, and none is what its gateway signed.

Where a gateway signs nothing, any delivery is accepted, and the gateway queried: a forged one must change nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final, Literal, assert_never

import msgspec

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story import Story, StoryEvent, bare

STALE_S: Final = 20 * 60  # four times the window of five minutes

Trick = Literal["wrong_key", "altered", "stale", "misdirected", "invented"]


class Forgery(msgspec.Struct, frozen=True, kw_only=True):
    """A forged request and the account at which it knocks."""

    account: str
    trick: Trick
    signed: Signed
    query: str = ""  # behind the query mark of the URL


class Forger:
    """Forges in the names of all accounts.  `impostors` are the same accounts with keys that nobody configured, without
    those that sign nothing."""

    def __init__(self, signers: Mapping[str, Signer], impostors: Mapping[str, Signer]) -> None:
        self._signers = signers
        self._impostors = impostors

    def forge(self, story: Story, *, chance: Random, now: datetime) -> Forgery:
        """One forgery, by a trick that this order's gateway could fall for."""
        return self.forge_by(chance.choice(self.tricks(story.account)), story, chance=chance, now=now)

    def forge_by(self, trick: Trick, story: Story, *, chance: Random, now: datetime) -> Forgery:
        """One forgery by this trick, which must be one of the account's."""
        account = story.account
        if trick == "misdirected":
            account = chance.choice(sorted(self._impostors.keys() - {account}))
        claim = _claim(story, self._signers[story.account].pays, chance)
        signed, query = (
            self._signed(trick, claim, now),
            simulator_of(self._signers[story.account].gateway).query_of(*claim),
        )
        return Forgery(account=account, trick=trick, signed=signed, query=query)

    def tricks(self, account: str) -> Sequence[Trick]:
        """Returns what this account's gateway could fall for."""
        tricks: list[Trick] = ["wrong_key" if account in self._impostors else "invented"]
        if self._signers[account].amount_follows is not None:
            tricks.append("altered")
        if self._signers[account].signs_time:
            tricks.append("stale")
        if self._impostors.keys() - {account}:  # elsewhere it would be taken for one that is made up
            tricks.append("misdirected")
        return tricks

    def _signed(self, trick: Trick, claim: tuple[Story, StoryEvent], now: datetime) -> Signed:
        account = claim[0].account
        signer = self._signers[account]
        match trick:
            case "wrong_key":
                return self._impostors[account].sign(*claim, now=now, again=0)
            case "altered":
                assert signer.amount_follows is not None
                return altered(signer.sign(*claim, now=now, again=0), after=signer.amount_follows)
            case "stale":
                return signer.sign(*claim, now=now - timedelta(seconds=STALE_S), again=0)
            case "misdirected" | "invented":
                return signer.sign(*claim, now=now, again=0)
            case unheard:
                assert_never(unheard)


def _claim(story: Story, event_type: str, chance: Random) -> tuple[Story, StoryEvent]:
    """Returns a payment that never was, with references of its own: believing it would show in the order."""
    mark = f"{chance.randrange(10**9):09d}"  # letters and digits alone, for some gateways have no other references
    told = StoryEvent(
        event_type=event_type,
        event_id=f"evt_{bare(story.order_ref)}forged{mark}",
        at=story.started_at,
        amount=story.amount,
        refund_ref="",
    )
    return msgspec.structs.replace(story, payment_ref=f"{story.payment_ref}{mark}", events=(told,)), told


def altered(signed: Signed, *, after: bytes) -> Signed:
    """Returns the body with the lowest bit of the byte behind `after` turned over: a digit becomes its neighbour."""
    headers, body = signed
    at = body.index(after) + len(after)
    return headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
