"""Answers "the customer says they paid" for one order, from what the store read, with the evidence for each answer.

    money that counts ───────────────────────────> paid here
    a success that is not applied yet, or is held> the gateway has it, and we are taking it over
    money under a reference much like this one ──> it waits under another reference
    money that counts for nothing, or too little > wrong amount, currency or account
    a payment that is neither done nor off ──────> a payment is under way
    anything that keeps us from knowing ─────────> not known
    gateways that all said so just now ──────────> not paid

The first line that finds evidence is the answer.  "Not paid" needs an answer of every gateway from just now: whatever
is uncertain is "not known" (law 11).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.likely_orders import Match
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.cases import KnownCase
from tillkeeper.domain.order.facts import ObjectStatus, failure_of
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.progress import ANSWER_IS_FRESH
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import ON_ITS_WAY
from tillkeeper.domain.order.sums import captured_of, held_of
from tillkeeper.domain.similar_references import WaitingMoney
from tillkeeper.domain.statuses import Status


class ClaimVerdict(StrEnum):
    """The seven answers."""

    PAID_HERE = "paid_here"
    TAKING_OVER = "taking_over"
    WAITS_ELSEWHERE = "waits_elsewhere"
    WRONG_MONEY = "wrong_money"
    UNDER_WAY = "under_way"
    NOT_KNOWN = "not_known"
    NOT_PAID = "not_paid"


class ClaimSign(StrEnum):
    """What a piece of evidence says."""

    CAPTURED = "captured"
    GIVEN_BACK = "given_back"
    TOO_MUCH = "too_much"
    PARKED = "parked"
    HELD_BACK = "held_back"
    BEING_FETCHED = "being_fetched"
    IMPLIED = "implied"
    WAITS = "waits"
    MAY_WAIT = "may_wait"
    TOO_LITTLE = "too_little"
    WRONG_CURRENCY = "wrong_currency"
    WRONG_ACCOUNT = "wrong_account"
    CONTRADICTED = "contradicted"
    PENDING = "pending"
    HELD = "held"
    PAUSED = "paused"
    SILENT = "silent"
    UNANSWERING = "unanswering"
    CANNOT_BE_ASKED = "cannot_be_asked"
    NO_ANSWER = "no_answer"
    NOT_ASKED = "not_asked"
    ANSWERED = "answered"
    FAILED = "failed"


class ClaimEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is known, and what it is about."""

    sign: ClaimSign
    account: str | None = None
    ref: str | None = None  # a payment, or the number of what is parked
    order_ref: str | None = None  # under which money waits
    amount: int | None = None
    currency: str | None = None
    at: datetime | None = None
    why: tuple[str, ...] = ()  # further words of ours: likenesses, a class of failure


class PossibleMoney(msgspec.Struct, frozen=True, kw_only=True):
    """Money that waits and may be meant for the order."""

    money: WaitingMoney
    seen_at: datetime
    match: Match


class ParkedMoney(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the order that could not be applied; `succeeded` says whether it tells of money that came in."""

    number: int
    account: str | None
    payment_ref: str | None
    parked_at: datetime
    succeeded: bool


class HeldEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the order that the guard holds, for its account is paused; `succeeded` as above."""

    account: str
    payment_ref: str | None
    amount: int | None
    currency: str | None
    received_at: datetime
    succeeded: bool


class OpenFetch(msgspec.Struct, frozen=True, kw_only=True):
    """A query that a delivery asked for, and that has no answer yet."""

    account: str
    payment_ref: str | None
    requested_at: datetime


class AccountTalk(msgspec.Struct, frozen=True, kw_only=True):
    """Since when an account has been silent, its gateway has not answered, and the guard has held what comes."""

    account: str
    paused_at: datetime | None = None
    silent_since: datetime | None = None
    failing_since: datetime | None = None


class ClaimKnowledge(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read for the answer."""

    order: OrderState
    possible: tuple[PossibleMoney, ...] = ()  # the likeliest first
    parked: tuple[ParkedMoney, ...] = ()
    held: tuple[HeldEvent, ...] = ()
    fetches: tuple[OpenFetch, ...] = ()
    accounts: tuple[AccountTalk, ...] = ()
    unaskable: frozenset[str] = frozenset()  # accounts that cannot be asked by an order's reference
    now: datetime

    def besides(self, unaskable: frozenset[str]) -> "ClaimKnowledge":
        """Returns it with the accounts that cannot be asked."""
        return msgspec.structs.replace(self, unaskable=unaskable)


class ClaimAct(StrEnum):
    """What can be done from the answer."""

    ASK = "ask"
    BIND = "bind"
    REPLAY = "replay"
    HOLD = "hold"


class ClaimAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, the evidence that led to it, what else is known, and what can be done."""

    verdict: ClaimVerdict
    because: tuple[ClaimEvidence, ...]
    besides: tuple[ClaimEvidence, ...] = ()
    acts: tuple[ClaimAct, ...] = ()


Finder = Callable[[ClaimKnowledge], Iterator[ClaimEvidence]]


def answer(known: ClaimKnowledge) -> ClaimAnswer:
    """Returns the answer: the first line of the table that finds evidence."""
    found = [(verdict, tuple(find(known))) for verdict, find in RULES]
    verdict, because = next(line for line in found if line[1])
    others = (each for _, evidence in found for each in evidence if each not in because)
    besides = tuple(dict.fromkeys(each for each in others if each.sign is not ClaimSign.ANSWERED))
    return ClaimAnswer(verdict=verdict, because=because, besides=besides, acts=_acts(known, verdict))


# --- the lines --------------------------------------------------------------------------------------------------------


def _paid_here(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    order = known.order
    summary = order.summary
    returned = summary.status in (Status.REFUNDING, Status.PARTIALLY_REFUNDED, Status.REFUNDED)
    if summary.status is not Status.PAID and not (returned and summary.captured):
        return
    yield from _captured(known)
    if summary.refunded or summary.refunding:
        amount = summary.refunded + summary.refunding
        yield ClaimEvidence(sign=ClaimSign.GIVEN_BACK, amount=amount, currency=order.order.currency)
    if (beyond := _beyond_what_is_due(order)) > 0:
        yield ClaimEvidence(sign=ClaimSign.TOO_MUCH, amount=beyond, currency=order.order.currency)


def _beyond_what_is_due(order: OrderState) -> int:
    """Returns what came in beyond what is due and does not go back; nothing once a person decided about it."""
    cases = [case for case in order.cases.values() if case.kind in _BEYOND]
    if cases and not any(case.is_open for case in cases):
        return 0
    summary = order.summary
    return summary.captured - summary.refunded - summary.refunding - (order.order.amount - summary.discount)


def _captured(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    order, found = known.order.order, False
    for (account, ref), payment in sorted(known.order.facts.payments.items()):
        if captured := captured_of(order, account, payment):
            found = True
            at = max(capture.at for capture in payment.captures.values())
            yield ClaimEvidence(
                sign=ClaimSign.CAPTURED, account=account, ref=ref, amount=captured, currency=order.currency, at=at
            )
    if not found and known.order.summary.status is Status.PAID:  # all of it was a gateway's discount
        yield ClaimEvidence(sign=ClaimSign.CAPTURED, amount=known.order.covered, currency=order.currency)


def _taking_over(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    for parked in known.parked:
        if parked.succeeded:
            yield _of_parked(parked)
    yield from (_of_held(held) for held in known.held if held.succeeded)
    for fetch in known.fetches:
        yield ClaimEvidence(
            sign=ClaimSign.BEING_FETCHED, account=fetch.account, ref=fetch.payment_ref, at=fetch.requested_at
        )
    for implied in implied_money(known.order.order, known.order.facts):
        if known.order.summary.captured == 0:
            yield ClaimEvidence(
                sign=ClaimSign.IMPLIED, account=implied.account, ref=implied.payment_ref or implied.refund_ref
            )


def _of_parked(parked: ParkedMoney) -> ClaimEvidence:
    return ClaimEvidence(sign=ClaimSign.PARKED, account=parked.account, ref=str(parked.number), at=parked.parked_at)


def _of_held(held: HeldEvent) -> ClaimEvidence:
    return ClaimEvidence(
        sign=ClaimSign.HELD_BACK,
        account=held.account,
        ref=held.payment_ref,
        amount=held.amount,
        currency=held.currency,
        at=held.received_at,
    )


def _waits_elsewhere(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    """Yields money whose reference says so; by its amount and day alone only where there is one such payment."""
    likely = [each for each in known.possible if each.match.is_likely]
    alone = known.possible if len(known.possible) == 1 else ()
    sign = ClaimSign.WAITS if likely else ClaimSign.MAY_WAIT
    yield from (_waiting(each, sign) for each in likely or alone)


def _waiting(each: PossibleMoney, sign: ClaimSign) -> ClaimEvidence:
    money = each.money
    return ClaimEvidence(
        sign=sign,
        account=money.account,
        ref=money.payment_ref,
        order_ref=money.order_ref,
        amount=money.amount,
        currency=money.currency,
        at=each.seen_at,
        why=tuple(map(str, each.match.reasons)),
    )


_BEYOND: Final = frozenset({CaseKind.OVERPAID, CaseKind.PAID_TWICE})
_MISMATCHED: Final[Mapping[str, ClaimSign]] = MappingProxyType(
    {
        CaseKind.WRONG_CURRENCY: ClaimSign.WRONG_CURRENCY,
        CaseKind.UNEXPECTED_ACCOUNT: ClaimSign.WRONG_ACCOUNT,
        CaseKind.REFERENCE_CONFLICT: ClaimSign.CONTRADICTED,
    }
)


def _wrong_money(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    order = known.order
    for case in sorted(order.cases.values(), key=lambda case: case.key):
        if case.is_open and case.kind in _MISMATCHED:
            yield _mismatched(known, case)
    if 0 < order.covered < order.order.amount and not order.summary.refunded:
        yield ClaimEvidence(sign=ClaimSign.TOO_LITTLE, amount=order.covered, currency=order.order.currency)


def _mismatched(known: ClaimKnowledge, case: KnownCase) -> ClaimEvidence:
    """Tells of a payment that counts for nothing, with what it brought in where that is of one currency."""
    account, _, ref = case.subject.partition(":")[2].partition("/")
    payment = known.order.facts.payments.get((account, ref))
    captures = [] if payment is None else payment.kept_captures
    currencies = {capture.currency for capture in captures}
    return ClaimEvidence(
        sign=_MISMATCHED[case.kind],
        account=account,
        ref=ref,
        amount=sum(capture.minor for capture in captures) if len(currencies) == 1 else None,
        currency=currencies.pop() if len(currencies) == 1 else None,
        at=max((capture.at for capture in captures), default=None),
    )


def _under_way(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    order = known.order.order
    for (account, ref), payment in sorted(known.order.facts.payments.items()):
        at = payment.latest.at if payment.latest else None
        if payment.status in ON_ITS_WAY:
            yield ClaimEvidence(sign=ClaimSign.PENDING, account=account, ref=ref, at=at, why=(str(payment.status),))
        elif held := held_of(order, account, payment):
            yield ClaimEvidence(
                sign=ClaimSign.HELD, account=account, ref=ref, amount=held, currency=order.currency, at=at
            )


def _not_known(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    yield from (_of_parked(parked) for parked in known.parked if not parked.succeeded)
    yield from (_of_held(held) for held in known.held if not held.succeeded)
    if len(known.possible) > 1:
        yield from (_waiting(each, ClaimSign.MAY_WAIT) for each in known.possible if not each.match.is_likely)
    for talk in known.accounts:
        if talk.paused_at is not None:
            yield ClaimEvidence(sign=ClaimSign.PAUSED, account=talk.account, at=talk.paused_at)
        if talk.silent_since is not None:
            yield ClaimEvidence(sign=ClaimSign.SILENT, account=talk.account, at=talk.silent_since)
        if talk.failing_since is not None:
            yield ClaimEvidence(sign=ClaimSign.UNANSWERING, account=talk.account, at=talk.failing_since)
    for account in sorted(known.unaskable & known.order.order.accounts):
        yield ClaimEvidence(sign=ClaimSign.CANNOT_BE_ASKED, account=account)
    progress = known.order.progress
    if progress.unanswered:
        yield ClaimEvidence(sign=ClaimSign.NO_ANSWER, at=progress.retry_at)
    elif progress.answered_at < max(known.now - ANSWER_IS_FRESH, known.order.phase_since):
        yield ClaimEvidence(sign=ClaimSign.NOT_ASKED)


def _not_paid(known: ClaimKnowledge) -> Iterator[ClaimEvidence]:
    yield ClaimEvidence(sign=ClaimSign.ANSWERED, at=known.order.progress.answered_at)
    for (account, ref), payment in sorted(known.order.facts.payments.items()):
        if payment.status in (ObjectStatus.FAILED, ObjectStatus.CANCELLED, ObjectStatus.REVERSED):
            at = payment.latest.at if payment.latest else None
            failure = failure_of(payment)
            why = (str(payment.status), *((str(failure),) if failure else ()))
            yield ClaimEvidence(sign=ClaimSign.FAILED, account=account, ref=ref, at=at, why=why)


RULES: Final[tuple[tuple[ClaimVerdict, Finder], ...]] = (
    (ClaimVerdict.PAID_HERE, _paid_here),
    (ClaimVerdict.TAKING_OVER, _taking_over),
    (ClaimVerdict.WAITS_ELSEWHERE, _waits_elsewhere),
    (ClaimVerdict.WRONG_MONEY, _wrong_money),
    (ClaimVerdict.UNDER_WAY, _under_way),
    (ClaimVerdict.NOT_KNOWN, _not_known),
    (ClaimVerdict.NOT_PAID, _not_paid),
)

# --- what can be done -------------------------------------------------------------------------------------------------

ACTS: Final[Mapping[ClaimVerdict, tuple[ClaimAct, ...]]] = MappingProxyType(
    {
        ClaimVerdict.PAID_HERE: (),
        ClaimVerdict.TAKING_OVER: (ClaimAct.REPLAY, ClaimAct.ASK, ClaimAct.HOLD),
        ClaimVerdict.WAITS_ELSEWHERE: (ClaimAct.BIND, ClaimAct.ASK, ClaimAct.HOLD),
        ClaimVerdict.WRONG_MONEY: (ClaimAct.ASK, ClaimAct.HOLD),
        ClaimVerdict.UNDER_WAY: (ClaimAct.ASK, ClaimAct.HOLD),
        ClaimVerdict.NOT_KNOWN: (ClaimAct.ASK, ClaimAct.REPLAY, ClaimAct.BIND, ClaimAct.HOLD),
        ClaimVerdict.NOT_PAID: (ClaimAct.ASK, ClaimAct.HOLD),
    }
)


def _acts(known: ClaimKnowledge, verdict: ClaimVerdict) -> tuple[ClaimAct, ...]:
    return tuple(act for act in ACTS[verdict] if _MAY[act](known))


_MAY: Final[Mapping[ClaimAct, Callable[[ClaimKnowledge], bool]]] = MappingProxyType(
    {
        ClaimAct.ASK: lambda known: not known.order.is_held(known.now),
        ClaimAct.BIND: lambda known: bool(known.possible),
        ClaimAct.REPLAY: lambda known: bool(known.parked),
        ClaimAct.HOLD: lambda known: known.order.closed_at is None and not known.order.is_held(known.now),
    }
)
