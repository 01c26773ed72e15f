"""Applies deliveries, and holds back those of accounts that the guard has paused.

    apply ── an account is paused, or this batch crosses its line ──> rolled back whole, and once more:
             pause ─ hold that account's deliveries ─ apply the others'       (one transaction)

A worker remembers which accounts it saw paused, so that their batches are not first applied in vain.  That only saves
work: whether an account is paused is read from the database each time, under a lock.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import Delivery, EnvelopeKeys
from tillkeeper.domain.guard import PauseReason, Rules
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import Tally, apply_deliveries
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.guard.holding import hold
from tillkeeper.store.guard.pausing import pause
from tillkeeper.store.postgres.pool import Conn


class HoldBack:
    """Shared by the loops of a process."""

    def __init__(self, rules: Rules, keys: EnvelopeKeys, *, now: Callable[[], datetime]) -> None:
        self._rules = rules
        self._keys = keys
        self._now = now
        self._suspects: dict[str, PauseReason | None] = {}  # accounts that were paused, or must be, when last seen

    def note(self, paused: AccountsPaused) -> None:
        """Remembers which accounts are paused, or must be; the next attempt holds their deliveries."""
        self._suspects |= paused.findings

    async def apply(
        self, conn: Conn, deliveries: Sequence[Delivery], *, void: Iterable[DeliveryKey] = (), policy: Policy
    ) -> Tally:
        """Applies the deliveries but those of paused accounts, which it holds, in the caller's transaction.

        Raises AccountsPaused for accounts that it did not know of; and as apply_deliveries does.
        """
        now = self._now()
        suspects = {delivery.account for delivery in deliveries} & self._suspects.keys()
        new, held = list[str](), 0
        if suspects:
            findings = {account: self._suspects[account] for account in suspects}
            paused, new = await pause(conn, findings, policy=policy.cases, now=now)
            for account in suspects - paused.keys():
                self._suspects.pop(account, None)
            held = await hold(conn, deliveries, paused, self._keys, now=now)
            deliveries = [delivery for delivery in deliveries if delivery.account not in paused]
        tally = await apply_deliveries(conn, deliveries, void=void, policy=policy, guard=self._rules, now=now)
        tally.held, tally.paused = held, new
        return tally
