"""Answers "the customer says they paid" for one order, from what the store read, with the evidence for each answer.

    money that counts ───────────────────────────> paid here
    a success that is not applied yet ───────────> the gateway has it, and we are taking it over
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
from tillkeeper.domain.order.facts import ObjectStatus, failure_of
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.progress import ANSWER_IS_FRESH
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import ON_ITS_WAY
from tillkeeper.domain.order.sums import captured_of, held_of
from tillkeeper.domain.similar_references import WaitingMoney
from tillkeeper.domain.statuses import Status


class Verdict(StrEnum):
    """The seven answers."""

    PAID_HERE = "paid_here"
    TAKING_OVER = "taking_over"
    WAITS_ELSEWHERE = "waits_elsewhere"
    WRONG_MONEY = "wrong_money"
    UNDER_WAY = "under_way"
    NOT_KNOWN = "not_known"
    NOT_PAID = "not_paid"


class Sign(StrEnum):
    """What a piece of evidence says."""

    CAPTURED = "captured"
    GIVEN_BACK = "given_back"
    PARKED = "parked"
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
    SILENT = "silent"
    UNANSWERING = "unanswering"
    CANNOT_BE_ASKED = "cannot_be_asked"
    NO_ANSWER = "no_answer"
    NOT_ASKED = "not_asked"
    ANSWERED = "answered"
    FAILED = "failed"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is known, and what it is about."""

    sign: Sign
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


class OpenFetch(msgspec.Struct, frozen=True, kw_only=True):
    """A query that a delivery asked for, and that has no answer yet."""

    account: str
    payment_ref: str | None
    requested_at: datetime


class AccountTalk(msgspec.Struct, frozen=True, kw_only=True):
    """Since when an account has been silent, and since when its gateway has not answered."""

    account: str
    silent_since: datetime | None = None
    failing_since: datetime | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read for the answer."""

    order: OrderState
    possible: tuple[PossibleMoney, ...] = ()  # the likeliest first
    parked: tuple[ParkedMoney, ...] = ()
    fetches: tuple[OpenFetch, ...] = ()
    accounts: tuple[AccountTalk, ...] = ()
    unaskable: frozenset[str] = frozenset()  # accounts that cannot be asked by an order's reference
    now: datetime

    def besides(self, unaskable: frozenset[str]) -> "Known":
        """Returns it with the accounts that cannot be asked."""
        return msgspec.structs.replace(self, unaskable=unaskable)


class Act(StrEnum):
    """What can be done from the answer."""

    ASK = "ask"
    BIND = "bind"
    REPLAY = "replay"
    HOLD = "hold"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, the evidence that led to it, what else is known, and what can be done."""

    verdict: Verdict
    because: tuple[Evidence, ...]
    besides: tuple[Evidence, ...] = ()
    acts: tuple[Act, ...] = ()


Finder = Callable[[Known], Iterator[Evidence]]


def answer(known: Known) -> Answer:
    """Returns the answer: the first line of the table that finds evidence."""
    found = [(verdict, tuple(find(known))) for verdict, find in RULES]
    verdict, because = next(line for line in found if line[1])
    others = (each for _, evidence in found for each in evidence if each not in because)
    besides = tuple(dict.fromkeys(each for each in others if each.sign is not Sign.ANSWERED))
    return Answer(verdict=verdict, because=because, besides=besides, acts=_acts(known, verdict))


# --- the lines --------------------------------------------------------------------------------------------------------


def _paid_here(known: Known) -> Iterator[Evidence]:
    order = known.order
    summary = order.summary
    returned = summary.status in (Status.REFUNDING, Status.PARTIALLY_REFUNDED, Status.REFUNDED)
    if summary.status is not Status.PAID and not (returned and summary.captured):
        return
    yield from _captured(known)
    if summary.refunded or summary.refunding:
        amount = summary.refunded + summary.refunding
        yield Evidence(sign=Sign.GIVEN_BACK, amount=amount, currency=order.order.currency)


def _captured(known: Known) -> Iterator[Evidence]:
    order, found = known.order.order, False
    for (account, ref), payment in sorted(known.order.facts.payments.items()):
        if captured := captured_of(order, account, payment):
            found = True
            at = max(capture.at for capture in payment.captures.values())
            yield Evidence(
                sign=Sign.CAPTURED, account=account, ref=ref, amount=captured, currency=order.currency, at=at
            )
    if not found and known.order.summary.status is Status.PAID:  # all of it was a gateway's discount
        yield Evidence(sign=Sign.CAPTURED, amount=known.order.covered, currency=order.currency)


def _taking_over(known: Known) -> Iterator[Evidence]:
    for parked in known.parked:
        if parked.succeeded:
            yield _of_parked(parked)
    for fetch in known.fetches:
        yield Evidence(sign=Sign.BEING_FETCHED, account=fetch.account, ref=fetch.payment_ref, at=fetch.requested_at)
    for implied in implied_money(known.order.order, known.order.facts):
        if known.order.summary.captured == 0:
            yield Evidence(sign=Sign.IMPLIED, account=implied.account, ref=implied.payment_ref or implied.refund_ref)


def _of_parked(parked: ParkedMoney) -> Evidence:
    return Evidence(sign=Sign.PARKED, account=parked.account, ref=str(parked.number), at=parked.parked_at)


def _waits_elsewhere(known: Known) -> Iterator[Evidence]:
    """Yields money whose reference says so; by its amount and day alone only where there is one such payment."""
    likely = [each for each in known.possible if each.match.is_likely]
    alone = known.possible if len(known.possible) == 1 else ()
    sign = Sign.WAITS if likely else Sign.MAY_WAIT
    yield from (_waiting(each, sign) for each in likely or alone)


def _waiting(each: PossibleMoney, sign: Sign) -> Evidence:
    money = each.money
    return Evidence(
        sign=sign,
        account=money.account,
        ref=money.payment_ref,
        order_ref=money.order_ref,
        amount=money.amount,
        currency=money.currency,
        at=each.seen_at,
        why=tuple(map(str, each.match.reasons)),
    )


_MISMATCHED: Final[Mapping[str, Sign]] = MappingProxyType(
    {
        CaseKind.WRONG_CURRENCY: Sign.WRONG_CURRENCY,
        CaseKind.UNEXPECTED_ACCOUNT: Sign.WRONG_ACCOUNT,
        CaseKind.REFERENCE_CONFLICT: Sign.CONTRADICTED,
    }
)


def _wrong_money(known: Known) -> Iterator[Evidence]:
    order = known.order
    for case in sorted(order.cases.values(), key=lambda case: case.key):
        if case.is_open and case.kind in _MISMATCHED:
            account, _, ref = case.subject.partition(":")[2].partition("/")
            yield Evidence(sign=_MISMATCHED[case.kind], account=account, ref=ref)
    if 0 < order.covered < order.order.amount and not order.summary.refunded:
        yield Evidence(sign=Sign.TOO_LITTLE, amount=order.covered, currency=order.order.currency)


def _under_way(known: Known) -> Iterator[Evidence]:
    order = known.order.order
    for (account, ref), payment in sorted(known.order.facts.payments.items()):
        at = payment.latest.at if payment.latest else None
        if payment.status in ON_ITS_WAY:
            yield Evidence(sign=Sign.PENDING, account=account, ref=ref, at=at, why=(str(payment.status),))
        elif held := held_of(order, account, payment):
            yield Evidence(sign=Sign.HELD, account=account, ref=ref, amount=held, currency=order.currency, at=at)


def _not_known(known: Known) -> Iterator[Evidence]:
    yield from (_of_parked(parked) for parked in known.parked if not parked.succeeded)
    if len(known.possible) > 1:
        yield from (_waiting(each, Sign.MAY_WAIT) for each in known.possible if not each.match.is_likely)
    for talk in known.accounts:
        if talk.silent_since is not None:
            yield Evidence(sign=Sign.SILENT, account=talk.account, at=talk.silent_since)
        if talk.failing_since is not None:
            yield Evidence(sign=Sign.UNANSWERING, account=talk.account, at=talk.failing_since)
    for account in sorted(known.unaskable & known.order.order.accounts):
        yield Evidence(sign=Sign.CANNOT_BE_ASKED, account=account)
    progress = known.order.progress
    if progress.unanswered:
        yield Evidence(sign=Sign.NO_ANSWER, at=progress.retry_at)
    elif progress.answered_at < max(known.now - ANSWER_IS_FRESH, known.order.phase_since):
        yield Evidence(sign=Sign.NOT_ASKED)


def _not_paid(known: Known) -> Iterator[Evidence]:
    yield Evidence(sign=Sign.ANSWERED, at=known.order.progress.answered_at)
    for (account, ref), payment in sorted(known.order.facts.payments.items()):
        if payment.status in (ObjectStatus.FAILED, ObjectStatus.CANCELLED, ObjectStatus.REVERSED):
            at = payment.latest.at if payment.latest else None
            failure = failure_of(payment)
            why = (str(payment.status), *((str(failure),) if failure else ()))
            yield Evidence(sign=Sign.FAILED, account=account, ref=ref, at=at, why=why)


RULES: Final[tuple[tuple[Verdict, Finder], ...]] = (
    (Verdict.PAID_HERE, _paid_here),
    (Verdict.TAKING_OVER, _taking_over),
    (Verdict.WAITS_ELSEWHERE, _waits_elsewhere),
    (Verdict.WRONG_MONEY, _wrong_money),
    (Verdict.UNDER_WAY, _under_way),
    (Verdict.NOT_KNOWN, _not_known),
    (Verdict.NOT_PAID, _not_paid),
)

# --- what can be done -------------------------------------------------------------------------------------------------

ACTS: Final[Mapping[Verdict, tuple[Act, ...]]] = MappingProxyType(
    {
        Verdict.PAID_HERE: (),
        Verdict.TAKING_OVER: (Act.REPLAY, Act.ASK, Act.HOLD),
        Verdict.WAITS_ELSEWHERE: (Act.BIND, Act.ASK, Act.HOLD),
        Verdict.WRONG_MONEY: (Act.ASK, Act.HOLD),
        Verdict.UNDER_WAY: (Act.ASK, Act.HOLD),
        Verdict.NOT_KNOWN: (Act.ASK, Act.REPLAY, Act.BIND, Act.HOLD),
        Verdict.NOT_PAID: (Act.ASK, Act.HOLD),
    }
)


def _acts(known: Known, verdict: Verdict) -> tuple[Act, ...]:
    return tuple(act for act in ACTS[verdict] if _MAY[act](known))


_MAY: Final[Mapping[Act, Callable[[Known], bool]]] = MappingProxyType(
    {
        Act.ASK: lambda known: not known.order.is_held(known.now),
        Act.BIND: lambda known: bool(known.possible),
        Act.REPLAY: lambda known: bool(known.parked),
        Act.HOLD: lambda known: known.order.closed_at is None and not known.order.is_held(known.now),
    }
)
