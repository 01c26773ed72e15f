"""Defines what the policy says of an account's statements: whose lines are ours, how far days blur, what is charged."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import msgspec

MILLION: Final = 1_000_000


class FeeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway keeps of a payment in one currency, as the contract with it says."""

    millionths: int  # of the amount: 6000 is 0.6 %
    fixed: int = 0  # minor units, of each payment
    tolerance: int = 1  # minor units, of each payment: gateways round in their own way

    def expected(self, amount: int) -> int:
        """Returns the fee of one payment, rounded half up."""
        return (amount * self.millionths + MILLION // 2) // MILLION + self.fixed


class BooksTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How the statements of an account are read against the orders.

    Two clocks and two ways of counting days lie between a gateway's books and ours: what is less than `buffer` away
    from the edge of what a statement covers may stand in the next one.  With `order_prefixes`, a line whose order is
    not known and begins with none of them is another shop's.  With `fetch` each day's statement is fetched from the
    gateway, where that gives it out.
    """

    fetch: bool = False
    buffer: timedelta = timedelta(days=1)
    order_prefixes: tuple[str, ...] = ()
    fees: Mapping[str, FeeTerms] = MappingProxyType({})  # by currency


class BooksPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of each account, and those of all others."""

    terms: BooksTerms = BooksTerms()
    accounts: Mapping[str, BooksTerms] = MappingProxyType({})

    def of(self, account: str) -> BooksTerms:
        """Returns the terms of an account."""
        return self.accounts.get(account, self.terms)
