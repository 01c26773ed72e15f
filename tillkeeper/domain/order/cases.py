"""Decides what becomes of cases, from the existing ones and the present reasons (which there are: case_reasons.py).

    no case yet                                 ── a reason ──> opens
    open                                        ── its reason has changed ──> is updated
    open, of a kind whose cause the facts show  ── its reason is gone ──> closes by itself
    closed by itself                            ── its reason is back ──> reopens
    resolved by a person                        ── another state, or more money than they knew of ──> reopens
    resolved by a person                        ── its reason is gone ──> any later reason is new

(kind, subject) identifies a case, so that each cause opens it once, however often it is seen.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason

CaseKey = tuple[str, str]  # (kind, subject)

FOLLOW_UP_MAX: Final = timedelta(days=90)  # later than the latest dispute is decided

SYSTEM: Final = "system"  # closes cases whose cause is gone

# While such a case is open, there may be money that does not count: no payer is asked to pay, and no order closes.
MONEY_UNCLEAR: Final = frozenset(
    {
        CaseKind.ANSWER_NOT_APPLIED,
        CaseKind.CLAIMED_PAID,
        CaseKind.REFERENCE_CONFLICT,
        CaseKind.STATEMENT_AT_GATEWAY_ONLY,
        CaseKind.UNEXPECTED_ACCOUNT,
        CaseKind.WRONG_CURRENCY,
    }
)
# Whoever resolves such a case says that money which a gateway reported counts for nobody, or that money which a
# statement has otherwise is as it should be: two people decide that.
RESOLVED_BY_TWO: Final = frozenset(
    {
        CaseKind.ANSWER_NOT_APPLIED,
        CaseKind.REFERENCE_CONFLICT,
        CaseKind.STATEMENT_AT_GATEWAY_ONLY,
        CaseKind.STATEMENT_DIFFERS,
        CaseKind.STATEMENT_HERE_ONLY,
        CaseKind.UNEXPECTED_ACCOUNT,
        CaseKind.UNMATCHED_PAYMENT,
        CaseKind.WRONG_CURRENCY,
    }
)

# Kinds whose cause the facts show: they close by themselves once it is gone.
SHOWN_BY_FACTS: Final = (
    CaseKind.CLOSE_IN_DOUBT,
    CaseKind.DISPUTED,
    CaseKind.OVERPAID,
    CaseKind.PAID_AFTER_CLOSING,
    CaseKind.PAID_TWICE,
    CaseKind.PAYMENT_REVERSED,
    CaseKind.REFUND_FAILED,
    CaseKind.REFUND_UNKNOWN,
    CaseKind.REFUNDED_MORE_THAN_CAPTURED,
    CaseKind.STUCK,
    CaseKind.UNEXPECTED_ACCOUNT,
    CaseKind.WRONG_CURRENCY,
)
# These are about a phase, or about the closing of an order: while no sum moves, they stand.
OF_A_PHASE: Final = frozenset({CaseKind.CLOSE_IN_DOUBT, CaseKind.STUCK})
SHOWN_WITHIN_A_PHASE: Final = tuple(kind for kind in SHOWN_BY_FACTS if kind not in OF_A_PHASE)

# The sum whose growth reopens a resolved case: what was captured, or, where that is the cause, what was refunded.
_SUM_OF: Final[Mapping[str, str]] = {CaseKind.REFUNDED_MORE_THAN_CAPTURED: "refunded"}


class KnownCase(msgspec.Struct, frozen=True, kw_only=True):
    """A stored case."""

    kind: str
    subject: str
    order_id: int | None = None
    state: str | None = None
    level: int = 1
    captured: int | None = None  # out of its details
    refunded: int | None = None
    closed_by: str | None = None

    @property
    def key(self) -> CaseKey:
        """Returns the kind and subject that name it."""
        return self.kind, self.subject

    @property
    def is_open(self) -> bool:
        """Returns True until it is closed."""
        return self.closed_by is None


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """An update of an open case to its present reason."""

    reason: CaseReason
    is_another_state: bool  # which its history notes


class CaseChanges(msgspec.Struct, kw_only=True):
    """The changes of an order's cases."""

    opened: dict[CaseKey, CaseReason] = msgspec.field(default_factory=dict)  # new or reopened
    first_alone: set[CaseKey] = msgspec.field(default_factory=set)  # those that open only if they do not exist
    noted: list[Noted] = msgspec.field(default_factory=list)
    closed: list[CaseKey] = msgspec.field(default_factory=list)
    gone: list[CaseKey] = msgspec.field(default_factory=list)  # resolved, and their cause is gone
    escalated: dict[CaseKey, int] = msgspec.field(default_factory=dict)  # to which level

    def open(
        self,
        cases: Mapping[CaseKey, KnownCase],
        order_id: int | None,
        reasons: Iterable[CaseReason],
        *,
        again: bool = True,
    ) -> None:
        """Opens a case for each reason without one.  Closed ones reopen for a new reason, unless `again` is False."""
        once = {reason.key: reason for reason in reasons}
        for key, reason in once.items():
            case = cases.get(key)
            if case is None:
                self.opened[key] = reason
                self.first_alone = self.first_alone - {key} if again else self.first_alone | {key}
            elif again and case.is_open:
                self._note(case, order_id, reason)
            elif again and _is_news(case, order_id, reason):
                self.opened[key] = reason

    def _note(self, case: KnownCase, order_id: int | None, reason: CaseReason) -> None:
        if reason.state is None:
            return
        is_another_state = case.state != reason.state
        sums = [(case.captured, reason.sum("captured")), (case.refunded, reason.sum("refunded"))]
        moved = any(None not in pair and pair[0] != pair[1] for pair in sums)
        if is_another_state or moved or case.order_id != order_id:
            self.noted.append(Noted(reason=reason, is_another_state=is_another_state))

    def close(
        self, cases: Mapping[CaseKey, KnownCase], still: Iterable[CaseReason], kinds: Collection[str] = SHOWN_BY_FACTS
    ) -> None:
        """Closes open cases of these kinds that have none of the present reasons."""
        holding = {reason.key for reason in still}
        for key, case in cases.items():
            if case.kind not in kinds or key in holding or key in self.opened:
                continue
            if case.is_open:
                self.closed.append(key)
            elif case.closed_by != SYSTEM and case.state:  # if its cause returns, that is a new reason
                self.gone.append(key)
        self.closed += [key for key in self.opened if key[0] in kinds and key not in holding]

    def escalate(self, cases: Mapping[CaseKey, KnownCase], key: CaseKey, *, level: int) -> None:
        """Raises an open case to at least this level."""
        case = cases.get(key)
        if key in self.opened or (case is not None and case.is_open):
            before = case.level if case is not None else 1
            self.escalated[key] = max(level, self.escalated.get(key, before))


def _is_news(case: KnownCase, order_id: int | None, reason: CaseReason) -> bool:
    """Returns True if there is a new reason for a case that is closed."""
    if case.closed_by == SYSTEM:
        return True
    if reason.state and ((case.state is not None and case.state != reason.state) or case.order_id != order_id):
        return True  # a case that moved is new at its new order
    name = _SUM_OF.get(case.kind, "captured")
    before, after = getattr(case, name), reason.sum(name)
    return before is not None and after is not None and after > before


def level_after_follow_up(kind: str, level: int, *, owner: str | None, levels: int) -> int:
    """Returns the level of a case that is due and not resolved: one up, of `levels`.

    One that has an owner stays theirs, and those of stuck orders go up by their own ladder.
    """
    return level if owner is not None or kind == CaseKind.STUCK else min(levels, level + 1)


class BadFollowUp(ValueError):
    """A case cannot be followed up then."""


def refuse_bad_follow_up(at: datetime, *, now: datetime) -> None:
    """Raises BadFollowUp for a time that is over, or so late that the case would be forgotten."""
    if not now < at <= now + FOLLOW_UP_MAX:
        raise BadFollowUp(f"a case is followed up in the next {FOLLOW_UP_MAX.days} days")
