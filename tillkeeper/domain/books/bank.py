"""Defines statements of bank accounts, and finds a gateway's payouts in their entries.

A payout is looked for by its number in the entry's text; else by its amount among the entries whose text has the
account's words, where one entry and one payout alone fit; else among entries that several payouts add up to, in one way
alone.  Nothing is guessed: where two ways fit, nothing is found, and a person looks.

| verdict | when |
| --- | --- |
| `came_back` | what was sent out and what came back of it add up to nothing |
| `arrived` | an entry of that amount was found |
| `differs` | an entry names it, and has another amount or currency |
| `missing` | none was found, and the bank's statements cover the day by which it is due |
| `on_its_way` | none was found so far |
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from itertools import combinations
from typing import Final

import msgspec

from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason

SATURDAY: Final = 5
TOGETHER_MAX: Final = 4  # payouts in one entry
TRIED_MAX: Final = 20  # payouts of which some may be in it: more make too many sums
REF_CHARS_MIN: Final = 6  # a shorter number stands in many texts by chance
BEFORE: Final = timedelta(days=1)  # a bank may book by another calendar's day


class BankEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: minor units of its currency, positive where money came in.

    `text` is all that the bank says of it: remittance, references, names.  `key` is ours, and empty until it is kept.
    """

    number: int
    amount: int
    currency: str
    booked_on: date
    reference: str | None
    text: str
    key: str = ""


class BankStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of a bank account, from its first day to its last; balances are those before and after."""

    iban: str | None
    number: str | None
    currency: str
    begins: date
    ends: date
    opening: int | None
    closing: int | None
    entries: tuple[BankEntry, ...]

    def check(self) -> None:
        """Raises StatementRefused where the entries do not lead from one balance to the other."""
        if self.opening is None or self.closing is None:
            return
        moved = sum(entry.amount for entry in self.entries)
        if self.opening + moved != self.closing:
            raise StatementRefused(
                f"the entries add up to {moved}, and the balances of {self.begins} to {self.ends} differ by "
                f"{self.closing - self.opening} (minor units of {self.currency}); fetch it again"
            )


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway sent to the bank, as its statements list it, less what came back of it; minor units."""

    account: str
    ref: str
    currency: str
    amount: int
    sent_on: date


class PayoutVerdict(StrEnum):
    """What became of a payout; the words are stored."""

    ARRIVED = "arrived"
    ON_ITS_WAY = "on_its_way"
    MISSING = "missing"
    DIFFERS = "differs"
    CAME_BACK = "came_back"


NOT_THERE: Final = frozenset({PayoutVerdict.MISSING, PayoutVerdict.DIFFERS, PayoutVerdict.ON_ITS_WAY})


class FoundBy(StrEnum):
    """How an entry was found."""

    REFERENCE = "reference"
    AMOUNT = "amount"
    SUM = "sum"


class PayoutArrival(msgspec.Struct, frozen=True, kw_only=True):
    """A payout and what became of it."""

    payout: Payout
    verdict: PayoutVerdict
    entry: BankEntry | None = None
    found_by: FoundBy | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a bank account: by which words each gateway's payouts are told, and how soon they come."""

    words: Mapping[str, str]  # by gateway's account
    within_days: int  # working days, Monday to Friday
    covered_until: date | None  # the last day of its statements; None before the first


def due_on(sent_on: date, within_days: int) -> date:
    """Returns the day by which a payout should be there: so many working days later."""
    day, left = sent_on, within_days
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < SATURDAY
    return day


def find_payouts(payouts: Sequence[Payout], entries: Iterable[BankEntry], terms: Terms) -> list[PayoutArrival]:
    """Returns what became of each payout; an entry is of one payout, or of those that add up to it."""
    search = _Search(entries, terms)
    found = {(payout.account, payout.ref): arrival for payout in payouts if (arrival := _came_back(payout))}
    for look in (search.by_reference, search.by_amount, search.by_sum):
        left = [payout for payout in payouts if (payout.account, payout.ref) not in found]
        found |= {(each.payout.account, each.payout.ref): each for each in look(left)}
    return [found.get((payout.account, payout.ref)) or _not_found(payout, terms) for payout in payouts]


def _came_back(payout: Payout) -> PayoutArrival | None:
    return PayoutArrival(payout=payout, verdict=PayoutVerdict.CAME_BACK) if payout.amount <= 0 else None


def _not_found(payout: Payout, terms: Terms) -> PayoutArrival:
    is_due = terms.covered_until is not None and terms.covered_until >= due_on(payout.sent_on, terms.within_days)
    return PayoutArrival(payout=payout, verdict=PayoutVerdict.MISSING if is_due else PayoutVerdict.ON_ITS_WAY)


class _Search:
    """Looks for payouts among entries, each of which is given away once."""

    def __init__(self, entries: Iterable[BankEntry], terms: Terms) -> None:
        self._free = {entry.key: entry for entry in entries if entry.amount > 0}
        self._texts = {key: _plain(f"{entry.text} {entry.reference or ''}") for key, entry in self._free.items()}
        self._terms = terms

    def by_reference(self, payouts: Sequence[Payout]) -> Iterator[PayoutArrival]:
        """Yields those whose number stands in an entry's text; of another amount, they differ."""
        for payout in payouts:
            ref = _plain(payout.ref)
            if len(ref) < REF_CHARS_MIN:
                continue
            named = [entry for key, entry in self._free.items() if ref in self._texts[key]]
            if len(named) == 1:
                alike = (named[0].amount, named[0].currency) == (payout.amount, payout.currency)
                verdict = PayoutVerdict.ARRIVED if alike else PayoutVerdict.DIFFERS
                yield self._give(payout, named[0], verdict, FoundBy.REFERENCE)

    def by_amount(self, payouts: Sequence[Payout]) -> Iterator[PayoutArrival]:
        """Yields those of which one entry alone has the amount, and that alone fit that entry."""
        fitting = {payout: self._of_amount(payout) for payout in payouts}
        claims: dict[str, int] = defaultdict(int)
        for entries in fitting.values():
            for entry in entries:
                claims[entry.key] += 1
        for payout, entries in fitting.items():
            if len(entries) == 1 and claims[entries[0].key] == 1:
                yield self._give(payout, entries[0], PayoutVerdict.ARRIVED, FoundBy.AMOUNT)

    def by_sum(self, payouts: Sequence[Payout]) -> Iterator[PayoutArrival]:
        """Yields those that add up to an entry together, in one way alone."""
        left = list(payouts)
        for entry in list(self._free.values()):
            able = [payout for payout in left if self._may_be(payout, entry)][:TRIED_MAX]
            sums = [
                group
                for size in range(2, TOGETHER_MAX + 1)
                for group in combinations(able, size)
                if sum(each.amount for each in group) == entry.amount
            ]
            if len(sums) == 1:
                self._free.pop(entry.key)
                for payout in sums[0]:
                    left.remove(payout)
                    yield PayoutArrival(payout=payout, verdict=PayoutVerdict.ARRIVED, entry=entry, found_by=FoundBy.SUM)

    def _of_amount(self, payout: Payout) -> list[BankEntry]:
        return [entry for entry in self._free.values() if entry.amount == payout.amount and self._may_be(payout, entry)]

    def _may_be(self, payout: Payout, entry: BankEntry) -> bool:
        """Says whether an entry may hold a payout: by its words, its currency, and not long after it was due."""
        word = self._terms.words.get(payout.account)
        last = due_on(payout.sent_on, 2 * self._terms.within_days)
        return (
            word is not None
            and _plain(word) in self._texts[entry.key]
            and entry.currency == payout.currency
            and payout.sent_on - BEFORE <= entry.booked_on <= last
        )

    def _give(self, payout: Payout, entry: BankEntry, verdict: PayoutVerdict, found_by: FoundBy) -> PayoutArrival:
        self._free.pop(entry.key)
        return PayoutArrival(payout=payout, verdict=verdict, entry=entry, found_by=found_by)


def _plain(text: str) -> str:
    """Returns letters and digits alone: banks break texts into lines, and drop signs."""
    return "".join(char for char in text.upper() if char.isalnum())


# --- cases ------------------------------------------------------------------------------------------------------------

WITH_CASE: Final = frozenset({PayoutVerdict.MISSING, PayoutVerdict.DIFFERS})


def payout_case_key(payout: Payout) -> tuple[str, str]:
    """Returns the kind and subject of the case about a payout."""
    return CaseKind.PAYOUT_MISSING, f"payout:{payout.account}/{payout.ref}"


def payout_case(arrival: PayoutArrival) -> CaseReason:
    """Returns the reason for the case of a payout that is missing or differs."""
    payout, entry = arrival.payout, arrival.entry
    kind, subject = payout_case_key(payout)
    details: dict[str, object] = {
        "amount": payout.amount,
        "currency": payout.currency,
        "since": f"{payout.sent_on}T00:00:00+00:00",
        "listed": entry.amount if entry else None,
        "listed_currency": entry.currency if entry else None,
    }
    return CaseReason(
        kind=CaseKind(kind),
        subject=subject,
        state=f"payout_{arrival.verdict} {payout.amount} {payout.currency}",
        account=payout.account,
        details={name: value for name, value in details.items() if value is not None},
    )
