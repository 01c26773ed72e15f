"""Defines the policy for stuck orders as data: ladders by status, cases, closing, silences and hints."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from tillkeeper.domain.ladder import Ladder
from tillkeeper.domain.statement_terms import BooksPolicy
from tillkeeper.domain.statuses import Status


class CasePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How cases are kept from being forgotten."""

    follow_up: timedelta = timedelta(hours=24)  # how often people are reminded until it is resolved
    levels: int = 3  # how far up a case can go


class SilencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When an account counts as silent, and what is done meanwhile (domain/silence.py)."""

    after: timedelta | None = None  # quiet for so long is silent; None: as each account's own history has it
    learning: timedelta = timedelta(days=7)  # how much of that history it takes
    false_alarm: float = 1e-6  # the chance of such a gap where nothing is wrong
    least: timedelta = timedelta(minutes=10)  # a shorter one is not reported
    ask_every: timedelta = timedelta(minutes=10)  # how often open payments are asked about while it lasts
    unanswering: timedelta = timedelta(minutes=15)  # queries that fail for so long without an answer are reported, too


class HintPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How far a delivery that proves nothing may cause a query."""

    per_minute: int = 10  # of one account, whoever posts whatever; 0: never
    again_after: timedelta = timedelta(minutes=10)  # about the same order


class AccountPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ladders that differ at one account, and there for a way of paying (bank debits take days)."""

    ladders: Mapping[Status, Ladder] = MappingProxyType({})
    methods: Mapping[str, Mapping[Status, Ladder]] = MappingProxyType({})


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a merchant may decide about stuck orders."""

    ladders: Mapping[Status, Ladder] = MappingProxyType({})
    accounts: Mapping[str, AccountPolicy] = MappingProxyType({})
    cases: CasePolicy = CasePolicy()
    unmatched_case: timedelta = timedelta(minutes=30)  # an event that waits so long for its order becomes a case
    after_close: Literal["reopen", "case"] = "case"  # money that comes in after closing
    closed: Ladder = Ladder()  # from closing on: whether it does
    silence: SilencePolicy = SilencePolicy()
    hints: HintPolicy = HintPolicy()
    books: BooksPolicy = BooksPolicy()

    def ladder(self, status: Status, account: str | None = None, method: str | None = None) -> Ladder:
        """Returns the ladder of a status, as it is at an account and for a way of paying there."""
        at_account = self.accounts.get(account) if account is not None else None
        if at_account is not None:
            by_method = at_account.methods.get(method) if method is not None else None
            if by_method is not None and status in by_method:
                return by_method[status]
            if status in at_account.ladders:
                return at_account.ladders[status]
        return self.ladders.get(status, _NO_LADDER)


_NO_LADDER: Final = Ladder()
