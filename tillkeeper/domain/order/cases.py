"""Which cases open, open again, change and close: a function of the cases that there are and of the reasons for them.

    no case yet                                 ── a reason ──> opens
    open                                        ── its reason says something else ──> shows that
    open, of a kind whose cause the facts show  ── its reason is gone ──> closes by itself
    closed by itself                            ── its reason is back ──> opens again
    resolved by a person                        ── another state, or more money than they knew of ──> opens again
    resolved by a person                        ── its reason is gone ──> whatever comes then is a new reason

(kind, subject) names a case, so that each cause opens it once, however often it is seen.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from tillkeeper.domain.order.case_reasons import CaseReason

CaseKey = tuple[str, str]  # (kind, subject)

SYSTEM: Final = "system"  # who closes a case whose cause is gone
UNAPPLIED: Final = "answer_not_applied"
DOUBT: Final = "close_in_doubt"
STUCK: Final = "stuck"
REFERENCE_CONFLICT: Final = "reference_conflict"
PAID_AFTER_CLOSING: Final = "paid_after_closing"

# While such a case is open, money may be there that does not count: nobody is asked to pay, and nothing is closed.
MONEY_UNCLEAR: Final = frozenset({UNAPPLIED, REFERENCE_CONFLICT, "unexpected_account", "wrong_currency"})

# Kinds whose cause the facts show: they close by themselves once it is gone.
SHOWN_BY_FACTS: Final = (
    DOUBT,
    "disputed",
    "overpaid",
    PAID_AFTER_CLOSING,
    "paid_twice",
    "payment_reversed",
    "refund_failed",
    "refund_unknown",
    "refunded_more_than_captured",
    STUCK,
    "unexpected_account",
    "wrong_currency",
)
# These are about a phase, or about the closing of an order: while no sum moves, they stand.
OF_A_PHASE: Final = frozenset({DOUBT, STUCK})
SHOWN_WITHIN_A_PHASE: Final = tuple(kind for kind in SHOWN_BY_FACTS if kind not in OF_A_PHASE)

# The sum that opens a resolved case again once it grows: what came in, or, where that is the cause, what went back.
_SUM_OF: Final[Mapping[str, str]] = {"refunded_more_than_captured": "refunded"}


class KnownCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it is kept."""

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
    """An open case that shows from now on what its reason says now."""

    reason: CaseReason
    is_another_state: bool  # which its history notes


class CaseChanges(msgspec.Struct, kw_only=True):
    """What becomes of an order's cases."""

    opened: dict[CaseKey, CaseReason] = msgspec.field(default_factory=dict)  # for the first time, or again
    first_alone: set[CaseKey] = msgspec.field(default_factory=set)  # of these, those that open only where there is none
    noted: list[Noted] = msgspec.field(default_factory=list)
    closed: list[CaseKey] = msgspec.field(default_factory=list)
    gone: list[CaseKey] = msgspec.field(default_factory=list)  # resolved, and without a cause by now
    escalated: dict[CaseKey, int] = msgspec.field(default_factory=dict)  # to which level

    def open(
        self,
        cases: Mapping[CaseKey, KnownCase],
        order_id: int | None,
        reasons: Iterable[CaseReason],
        *,
        again: bool = True,
    ) -> None:
        """Opens a case for each reason that has none.  Those that are closed open again where there is a new reason,
        unless `again` is false."""
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
        """Closes what stands open, of these kinds, and has no reason among those that still hold."""
        holding = {reason.key for reason in still}
        for key, case in cases.items():
            if case.kind not in kinds or key in holding or key in self.opened:
                continue
            if case.is_open:
                self.closed.append(key)
            elif case.closed_by != SYSTEM and case.state:  # if its cause comes back, that is a new reason
                self.gone.append(key)
        self.closed += [key for key in self.opened if key[0] in kinds and key not in holding]

    def escalate(self, cases: Mapping[CaseKey, KnownCase], key: CaseKey, *, level: int) -> None:
        """Takes an open case up to at least this level."""
        case = cases.get(key)
        if key in self.opened or (case is not None and case.is_open):
            before = case.level if case is not None else 1
            self.escalated[key] = max(level, self.escalated.get(key, before))


def _is_news(case: KnownCase, order_id: int | None, reason: CaseReason) -> bool:
    """Returns True if there is a new reason for a case that is closed."""
    if case.closed_by == SYSTEM:
        return True
    if reason.state and ((case.state is not None and case.state != reason.state) or case.order_id != order_id):
        return True  # what moved is news at its new order
    name = _SUM_OF.get(case.kind, "captured")
    before, after = getattr(case, name), reason.sum(name)
    return before is not None and after is not None and after > before


def level_after_follow_up(kind: str, level: int, *, owner: str | None, levels: int) -> int:
    """Returns the level of a case that is due and not resolved: one up, of `levels`.

    One that has an owner stays theirs, and those of stuck orders go up by their own ladder.
    """
    return level if owner is not None or kind == STUCK else min(levels, level + 1)
