"""Finds open cases whose cause is gone: they should have closed by themselves, and the audit looks for them."""

from tillkeeper.domain.order.advancing import phase_subject
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.cases import SHOWN_BY_FACTS, KnownCase
from tillkeeper.domain.order.closing import kept_after_closing
from tillkeeper.domain.order.state import OrderState


def stale_cases(order: OrderState) -> list[KnownCase]:
    """Returns the order's cases that are open although the facts no longer show their cause."""
    shown = [case for case in order.cases.values() if case.is_open and case.kind in SHOWN_BY_FACTS]
    if not shown:
        return []
    reasons = {reason.key for reason in (*order.case_reasons(), *kept_after_closing(order))}
    return [case for case in shown if not _holds(case, order, reasons)]


def _holds(case: KnownCase, order: OrderState, reasons: set[tuple[str, str]]) -> bool:
    if case.kind == CaseKind.STUCK:
        is_looked_after = order.closed_at is None or order.traits.moving
        return is_looked_after and case.subject == phase_subject(order)
    if case.kind == CaseKind.CLOSE_IN_DOUBT:
        return order.closed_at is None
    return case.key in reasons
