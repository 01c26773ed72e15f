"""Reads a payment's events together: a direct debit may be collected, fail late, and be collected again.

GoCardless lists the events of the last eighteen months alone.  So the payment's own status says what is not among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.gocardless.objects import PAYMENT_STATUSES, Entry, entry_of, payment_fact
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.kit.unknown_words import unknown_word


def payment_facts(payment: object, events: Sequence[object], reported_at: datetime) -> tuple[Fact, ...]:
    """Returns what a payment and its events, newest first, say: what came in, what undid it, where it stands, its
    dispute."""
    entries = sorted(filter(None, map(entry_of, reversed(events))), key=lambda entry: entry.at)  # stable
    history = _History()
    for entry in entries:
        history.take(entry)
    status = text(payment, "status")
    if status in PAYMENT_STATUSES:
        history.complete(text(payment, "id"), status, reported_at)
    else:
        unknown_word("status of a payment", status)
    return history.facts()


@dataclass
class _History:
    """What became of a payment: the last collection, what undid the one before or this one, and what came since."""

    success: Entry | None = None
    is_collected: bool = False
    reversal: Entry | None = None
    standing: Entry | None = None
    chargeback: Entry | None = None

    def take(self, entry: Entry) -> None:
        """Takes in the next event, in order of time."""
        if entry.fact.kind.is_dispute:
            self.chargeback = entry
        elif entry.fact.kind is Kind.PAYMENT_SUCCEEDED:
            if not self.is_collected:
                self.success, self.is_collected = _after(self.reversal, entry), True
        elif entry.fact.kind is Kind.PAYMENT_REVERSED:
            # A late failure is settled some days after it failed, when it may be collected again already.
            if self.is_collected and self.reversal is None:
                self.reversal, self.is_collected = entry, False
        else:
            if entry.is_failure and self.is_collected:
                self._undo(entry.fact, entry.at)
            self.standing = entry

    def complete(self, payment_ref: str, status: str, reported_at: datetime) -> None:
        """Adds what the payment's status says and no event did."""
        kind = PAYMENT_STATUSES[status]
        by_status = _entry(payment_ref, kind, reported_at)
        if kind is Kind.PAYMENT_SUCCEEDED:
            if not self.is_collected:
                self.success, self.is_collected = by_status, True
        elif kind is Kind.PAYMENT_FAILED and self.is_collected:
            self._undo(by_status.fact, reported_at)
            self.standing = by_status
        elif not self.is_collected and not self._is_known(status, kind):
            self.standing = by_status
        if status == "charged_back" and self.chargeback is None:
            self.chargeback = _entry(payment_ref, Kind.DISPUTE_OPENED, reported_at)

    def facts(self) -> tuple[Fact, ...]:
        """Returns what stands, in order."""
        standing = None if self.is_collected else self.standing
        entries = (self.success, self.reversal, standing, self.chargeback)
        return tuple(entry.fact for entry in entries if entry is not None)

    def _undo(self, failed: Fact, failed_at: datetime) -> None:
        self.reversal = _entry(failed.payment_ref or "", Kind.PAYMENT_REVERSED, failed_at)
        self.is_collected = False

    def _is_known(self, status: str, kind: Kind) -> bool:
        """What is to be collected again has the status `failed` meanwhile: its event tells which."""
        if self.standing is None:
            return False
        return self.standing.fact.kind is kind or (status == "failed" and self.standing.is_failure)


def _entry(payment_ref: str, kind: Kind, happened_at: datetime) -> Entry:
    return Entry(fact=payment_fact(payment_ref, kind, happened_at), at=happened_at)


def _after(reversal: Entry | None, success: Entry) -> Entry:
    """Of one second the list tells which came later; a reversal would undo what is not later than itself."""
    if reversal is None or success.at > reversal.at:
        return success
    later = reversal.at + timedelta(seconds=1)
    return Entry(fact=msgspec.structs.replace(success.fact, occurred_at=later), at=later)
