"""Compares what a gateway's statements say of a payment, a refund or a dispute with what is known of it here.

    all lines about one object, of the statements of one form ──┐
                                                                ├─ MATCH_TABLE: the first line that holds ──> Verdict
    what its facts say moved (known.py), or nothing ────────────┘

Lines are added up whatever file they stand in and in whatever order, so that a day that is split over two files ends as
one that is not, and a statement that is matched again changes nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.domain.books.coverage import Covered, surely_covers
from tillkeeper.domain.books.known import KnownMoney, Movement
from tillkeeper.domain.books.statement import LineKind, StatementLine
from tillkeeper.domain.statement_terms import BooksTerms


class MatchedObject(StrEnum):
    """What lines are matched with; its word names it in cases, too."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"


# What a line is about.  The other kinds move the balance of the account, and no order's money.
OBJECTS: Final[Mapping[LineKind, MatchedObject]] = MappingProxyType(
    {
        LineKind.PAYMENT: MatchedObject.PAYMENT,
        LineKind.REFUND: MatchedObject.REFUND,
        LineKind.REFUND_FAILED: MatchedObject.REFUND,
        LineKind.CHARGEBACK: MatchedObject.DISPUTE,
        LineKind.CHARGEBACK_REVERSED: MatchedObject.DISPUTE,
    }
)
RETURNS: Final = frozenset({LineKind.REFUND_FAILED, LineKind.CHARGEBACK_REVERSED})  # what left came back

# How long before and after the moment that is known here a gateway may list it: a refund stands under its acceptance,
# and is known by its success, and a chargeback takes its money while the dispute is decided.
LISTED_BEFORE: Final[Mapping[MatchedObject, timedelta]] = MappingProxyType(
    {
        MatchedObject.PAYMENT: timedelta(),
        MatchedObject.REFUND: timedelta(days=15),
        MatchedObject.DISPUTE: timedelta(days=120),
    }
)
LISTED_AFTER: Final[Mapping[MatchedObject, timedelta]] = MappingProxyType(
    {
        MatchedObject.PAYMENT: timedelta(),
        MatchedObject.REFUND: timedelta(),
        MatchedObject.DISPUTE: timedelta(days=30),
    }
)

PARTS_MAX: Final = 10  # movements of which every combination is tried; of more, the sums between the least and the most


class Verdict(StrEnum):
    """What comes of comparing one object."""

    MATCHED = "matched"
    CARRIED_OVER = "carried_over"
    NOT_OURS = "not_ours"
    AT_GATEWAY_ONLY = "at_gateway_only"
    REFUNDED_THERE_ONLY = "refunded_there_only"
    HERE_ONLY = "here_only"
    CURRENCY_DIFFERS = "currency_differs"
    TWICE = "twice"
    AMOUNT_DIFFERS = "amount_differs"
    DAY_DIFFERS = "day_differs"
    FEE_DIFFERS = "fee_differs"


DIFFERENCES: Final = frozenset(Verdict) - {Verdict.MATCHED, Verdict.CARRIED_OVER, Verdict.NOT_OURS}
# What an event with the statement as its evidence settles, where one can be made (evidence.py).
LACKING_HERE: Final = frozenset({Verdict.AT_GATEWAY_ONLY, Verdict.REFUNDED_THERE_ONLY})


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One object, as the statements of a form list it, and as it is known here.

    `covered` are the joined spans of which these statements list such objects without a gap; empty for a form that
    lists only what was settled.  `has_order` says that its order is registered.
    """

    object: MatchedObject
    ref: str
    lines: tuple[StatementLine, ...] = ()
    known: KnownMoney | None = None
    has_order: bool = False
    covered: tuple[Covered, ...] = ()
    zone: str = "UTC"
    terms: BooksTerms = BooksTerms()

    @property
    def counted(self) -> tuple[StatementLine, ...]:
        """Returns the lines that say what moved: those of something under way do so once it is known to have."""
        if self.movements or self.known is None:
            return self.lines
        return tuple(line for line in self.lines if not line.pending)

    @property
    def said(self) -> int:
        """Returns what the lines add up to: what came in of a payment, what went back of a refund or dispute."""
        amount = sum(line.amount for line in self.counted)
        return amount if self.object is MatchedObject.PAYMENT else -amount

    @property
    def is_ours(self) -> bool:
        """Returns False for an object of another shop at the same account."""
        if self.has_order or self.known is not None or not self.terms.order_prefixes:
            return True
        return any((line.order_ref or "").startswith(self.terms.order_prefixes) for line in self.lines)

    @property
    def movements(self) -> tuple[Movement, ...]:
        """Returns what is known to have moved."""
        return () if self.known is None else self.known.movements

    @property
    def missing_lines(self) -> tuple[StatementLine, ...]:
        """Returns the lines that say what is not known here."""
        if self.known is None or (not self.movements and self.said):
            return self.counted
        if not self.said and self.known.amount:
            return tuple(line for line in self.lines if line.kind in RETURNS)
        parts, named = {each.part for each in self.movements}, {line.capture_ref for line in self.lines}
        if self.movements and parts < named and None not in named:  # each known capture is listed, and others besides
            return tuple(line for line in self.lines if line.capture_ref not in parts)
        return ()

    @property
    def sure(self) -> int:
        """Returns what the statements must list by now; the rest of what moved may stand in the next one."""
        return sum(each.amount for each in self.movements if self._is_sure(each))

    @property
    def possible_sums(self) -> frozenset[int]:
        """Returns what the lines may add up to, where some movements stand in statements that were not taken yet."""
        sums = {self.sure}
        for each in [each for each in self.movements if not self._is_sure(each)][:PARTS_MAX]:
            sums |= {known + each.amount for known in sums}
        return frozenset(sums)

    def _is_sure(self, movement: Movement) -> bool:
        before, after = LISTED_BEFORE[self.object], LISTED_AFTER[self.object]
        buffer = self.terms.buffer
        return surely_covers(self.covered, movement.at, before=buffer + before, after=buffer + after)

    @property
    def is_repeated(self) -> bool:
        """Returns True if leaving out lines that repeat another one gives a sum that is right."""
        counted = {(line.kind, line.amount, line.capture_ref): line.amount for line in self.lines}
        return len(counted) < len(self.lines) and abs(sum(counted.values())) in self.right_sums

    @property
    def right_sums(self) -> frozenset[int]:
        """Returns all that the lines may rightly add up to."""
        taken_back = 0 if self.known is None else self.known.taken_back
        less = {possible - taken_back for possible in self.possible_sums}
        return self.possible_sums.union(less, self._with_besides)

    @property
    def fees(self) -> tuple[int, int] | None:
        """Returns the fee that the lines say, and the one that the terms have; None where either says nothing."""
        charged = [(line.amount, line.fee) for line in self.lines if line.fee is not None and not line.settled_currency]
        terms = self.terms.fees.get(self.lines[0].currency) if self.lines else None
        if terms is None or not charged or self.object is not MatchedObject.PAYMENT:
            return None
        return sum(fee for _, fee in charged), sum(terms.expected(amount) for amount, _ in charged)

    @property
    def fee_differs(self) -> bool:
        """Returns True if the fee is further from the terms than they tolerate."""
        if (fees := self.fees) is None:
            return False
        said, expected = fees
        return abs(said - expected) > self.terms.fees[self.lines[0].currency].tolerance * len(self.lines)

    @property
    def is_of_another_day(self) -> bool:
        """Returns True if a payment is listed further from when it came in than the buffer allows."""
        return self.object is MatchedObject.PAYMENT and not self._is_within(self.terms.buffer)

    @property
    def is_carried_over(self) -> bool:
        """Returns True if it is listed in part so far, or under another day than the one on which it happened."""
        in_part = self.said not in {self.amount, *self._with_besides}
        return in_part or not self._is_within(timedelta())

    @property
    def amount(self) -> int:
        """Returns what is known to have moved in all."""
        return 0 if self.known is None else self.known.amount

    @property
    def _with_besides(self) -> list[int]:
        besides = () if self.known is None else (*self.known.besides, -self.known.taken_back)
        return [self.amount + each for each in besides]

    def _is_within(self, buffer: timedelta) -> bool:
        """Returns True if each line's day, or the buffer around it, has a movement.

        A form that covers no time says when it settled; and when a dispute took money, or a gateway took back what a
        payment had brought, is not known to the day.
        """
        if not self.covered or not self.movements or self.object is MatchedObject.DISPUTE:
            return True
        for line in self.lines:
            if self.object is MatchedObject.PAYMENT and line.amount < 0:
                continue
            day = day_of(line, self.zone)
            if day and not any(day.begins - buffer <= each.at < day.ends + buffer for each in self.movements):
                return False
        return True


def day_of(line: StatementLine, zone: str) -> Covered | None:
    """Returns the day that a line is booked under, in the statement's zone; None where it has no date."""
    day = line.settled_on
    if day is None and line.occurred_at is not None:
        day = line.occurred_at.astimezone(ZoneInfo(zone)).date()
    return None if day is None else _day(day, zone)


@lru_cache(maxsize=64)  # a statement has the same days again and again
def _day(day: date, zone: str) -> Covered:
    begins, ends = (datetime.combine(each, time(), ZoneInfo(zone)) for each in (day, day + timedelta(days=1)))
    return Covered(begins.astimezone(UTC), ends.astimezone(UTC))


class MatchRule(msgspec.Struct, frozen=True):
    """A line of the table of verdicts; docs/books.md says its `when` to people."""

    verdict: Verdict
    when: str
    holds: Callable[[Comparison], bool]


# The first line that holds is the verdict.
MATCH_TABLE: Final[tuple[MatchRule, ...]] = (
    MatchRule(
        Verdict.HERE_ONLY,
        "no line lists what moved, and the statements surely cover its moment",
        lambda each: not each.lines and each.sure != 0,
    ),
    MatchRule(Verdict.CARRIED_OVER, "it stands in a statement that is still to come", lambda each: not each.lines),
    MatchRule(
        Verdict.NOT_OURS,
        "its order is not registered and has no prefix of ours, and nothing is known of it",
        lambda each: not each.is_ours,
    ),
    MatchRule(
        Verdict.REFUNDED_THERE_ONLY,
        "a line lists a refund that is not known to have succeeded, or to have come back",
        lambda each: each.object is MatchedObject.REFUND and bool(each.missing_lines),
    ),
    MatchRule(
        Verdict.AT_GATEWAY_ONLY,
        "a line lists a payment or chargeback that is not known to have moved money",
        lambda each: bool(each.missing_lines),
    ),
    MatchRule(
        Verdict.CURRENCY_DIFFERS,
        "a line is in another currency",
        lambda each: (
            each.known is not None
            and each.known.currency is not None
            and any(line.currency != each.known.currency for line in each.lines)
        ),
    ),
    MatchRule(
        Verdict.TWICE,
        "the lines add up to too much, and are right without those that repeat another",
        lambda each: each.said not in each.right_sums and each.is_repeated,
    ),
    MatchRule(
        Verdict.AMOUNT_DIFFERS,
        "the lines do not add up to what moved",
        lambda each: each.said not in each.right_sums,
    ),
    MatchRule(
        Verdict.DAY_DIFFERS,
        "a payment is listed under a day that is further away than the buffer",
        lambda each: each.is_of_another_day,
    ),
    MatchRule(
        Verdict.FEE_DIFFERS,
        "the fee is not what the terms of the account say",
        lambda each: each.fee_differs,
    ),
    MatchRule(
        Verdict.CARRIED_OVER,
        "it is listed under a day beside the one on which it happened, or in part so far",
        lambda each: each.is_carried_over,
    ),
    MatchRule(Verdict.MATCHED, "otherwise", lambda _: True),
)


def verdict_of(comparison: Comparison) -> Verdict:
    """Returns the first verdict whose rule holds."""
    if agrees_plainly(comparison):
        return Verdict.MATCHED
    return verdict_by_table(comparison)


def verdict_by_table(comparison: Comparison) -> Verdict:
    """Returns the first verdict whose rule holds, whatever is quicker for most."""
    return next(rule.verdict for rule in MATCH_TABLE if rule.holds(comparison))


def agrees_plainly(each: Comparison) -> bool:
    """Returns True for one line that says what the one movement says, as nearly all do: the table has it matched."""
    known = each.known
    if known is None or len(each.lines) != 1 or len(known.movements) != 1:
        return False
    line, movement = each.lines[0], known.movements[0]
    said = line.amount if each.object is MatchedObject.PAYMENT else -line.amount
    if said != movement.amount or line.currency != known.currency or not said or line.kind in RETURNS:
        return False
    if each.terms.fees and each.fee_differs:
        return False
    if not each.covered or each.object is MatchedObject.DISPUTE:
        return True
    day = day_of(line, each.zone)
    return day is None or day.begins <= movement.at < day.ends
