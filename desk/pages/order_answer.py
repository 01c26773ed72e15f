"""Decides the sentence that an order's page begins with, and how urgent it is."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.cases import MONEY_UNCLEAR
from tillkeeper.domain.order.status import StatusRule
from tillkeeper.domain.statuses import MOVING, Status
from tillkeeper.store.reports.whole_order import TimelineEntry

Tone: TypeAlias = Literal["calm", "look", "act"]

MOVING_TOO_LONG: Final = timedelta(minutes=30)  # nearly every payment and refund ends sooner, or takes a day
URGENT_LEVEL: Final = 2  # a case that went up once was not dealt with in time
CLOSED_HAS_WORDS: Final = frozenset({Status.UNPAID, Status.FAILED})
KNOWN: Final = frozenset(Status)
UNSEEN: Final = "given_back_unseen"  # the line of the status table


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The key of the sentence, how urgent it is, and what it names: account, time, and why a payment failed."""

    word: str
    tone: Tone
    account: str | None
    moved_at: datetime
    failure: str | None


def answer_of(
    shown: Mapping[str, Any], rule: StatusRule, timeline: Iterable[TimelineEntry], *, now: datetime
) -> OrderAnswer:
    """Decides what the page says first.  `timeline` begins with the latest."""
    payment = _latest_payment(timeline)
    return OrderAnswer(
        word=f"title_{_title(shown, rule)}",
        tone=tone_of(shown, now=now),
        account=payment.account if payment else None,
        moved_at=payment.occurred_at if payment else shown["stands_since"],
        failure=payment.failure if payment else None,
    )


def _title(shown: Mapping[str, Any], rule: StatusRule) -> str:
    if rule.name == UNSEEN:
        return "unseen"
    if shown["status"] not in KNOWN:
        return "of_later_version"
    is_closed = shown["closed_at"] is not None and shown["status"] in CLOSED_HAS_WORDS
    return f"{shown['status']}_closed" if is_closed else str(shown["status"])


def _latest_payment(timeline: Iterable[TimelineEntry]) -> TimelineEntry | None:
    """Returns the event that says where its payment is: the latest success, else the latest of any payment."""
    of_payments = [entry for entry in timeline if entry.what == "event" and entry.outcome == "applied"]
    succeeded = (entry for entry in of_payments if entry.kind == Kind.PAYMENT_SUCCEEDED)
    return next(succeeded, next((entry for entry in of_payments if entry.kind.startswith("payment.")), None))


def tone_of(shown: Mapping[str, Any], *, now: datetime) -> Tone:
    """Returns how urgent an order is: by its open cases, and by how long its money has been moving."""
    cases = [case for case in shown["cases"] if case["closed_at"] is None]
    if any(case["level"] >= URGENT_LEVEL or case["kind"] in MONEY_UNCLEAR for case in cases):
        return "act"
    is_late = shown["status"] in MOVING and now - shown["stands_since"] > MOVING_TOO_LONG
    return "look" if cases or is_late else "calm"
