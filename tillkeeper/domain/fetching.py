"""Decides about queries that deliveries cause, which say only that something changed: when each is repeated or ends.

query ──┬─ found ───────────────────────────────> finished
        ├─ not found ── thrice more, 36 min ────> finished as such: anybody can post a reference that is none
        └─ no answer ── growing pauses, 3 days ─> given up, and a case
"""

from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from tillkeeper.domain.backoff import FETCH, FETCH_NOT_FOUND, Jitter
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason

REF_CHARS_MAX: Final = 255
UNPROVEN_REST: Final = timedelta(seconds=30)  # between queries about one object that unsigned deliveries cause

Found: TypeAlias = Literal["found", "not_found"]


class Fetch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment or refund to query because of a delivery.  `proven` is False where the gateway signs nothing."""

    about: Literal["payment", "refund"]
    payment_ref: str | None = None
    refund_ref: str | None = None
    order_ref: str | None = None
    proven: bool = True


class FetchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a query: when it was first requested, and its results since."""

    requested_at: datetime
    failures: int = 0
    misses: int = 0


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """The query is repeated then."""

    at: datetime
    progress: FetchProgress


class Finished(msgspec.Struct, frozen=True):
    """The gateway answered."""

    outcome: Found


class GivenUp(msgspec.Struct, frozen=True):
    """The gateway did not answer in time."""


Step: TypeAlias = Later | Finished | GivenUp


def next_step(progress: FetchProgress, outcome: Found | Literal["no_answer"], *, now: datetime, jitter: Jitter) -> Step:
    """Returns what follows from how the query was answered."""
    requested_at = progress.requested_at
    if outcome == "found":
        return Finished("found")
    if outcome == "not_found":
        if progress.misses + 1 >= FETCH_NOT_FOUND.attempts_max:
            return Finished("not_found")
        tried = FetchProgress(requested_at=requested_at, failures=progress.failures, misses=progress.misses + 1)
        return Later(at=now + FETCH_NOT_FOUND.pause(tried.misses, jitter), progress=tried)
    ends_at = requested_at + FETCH.give_up_after
    if now >= ends_at and progress.failures >= len(FETCH.pauses):  # it may have waited for days before the first query
        return GivenUp()
    tried = FetchProgress(requested_at=requested_at, failures=progress.failures + 1, misses=progress.misses)
    at = now + FETCH.pause(tried.failures, jitter)
    return Later(at=at if now >= ends_at else min(at, ends_at), progress=tried)


def problem_with_fetch(fetch: Fetch) -> str | None:
    """Says why a query cannot be put, or returns None: it needs a reference, in printable characters of ASCII."""
    if fetch.about == "refund" and fetch.refund_ref is None:
        return "a refund to ask about needs refund_ref"
    refs = [ref for ref in (fetch.payment_ref, fetch.refund_ref, fetch.order_ref) if ref is not None]
    if not refs:
        return "what to ask about has no reference"
    if not all(0 < len(ref) <= REF_CHARS_MAX and ref.isascii() and ref.isprintable() for ref in refs):
        return f"a reference to ask about must have 1 to {REF_CHARS_MAX} printable characters of ASCII"
    return None


def unanswered_key(account: str, fetch: Fetch) -> tuple[CaseKind, str]:
    """Names the case of a query that was not answered."""
    refs = "/".join(ref or "-" for ref in (fetch.payment_ref, fetch.refund_ref, fetch.order_ref))
    return CaseKind.FETCH_FAILED, f"fetch:{account}/{fetch.about}/{refs}"


def unaskable_key(account: str) -> tuple[CaseKind, str]:
    """Names the case of an account that cannot be asked."""
    return CaseKind.FETCH_FAILED, f"account:{account}"


def unanswered(
    account: str, fetch: Fetch, progress: FetchProgress, *, delivery: tuple[UUID, int], why: str
) -> CaseReason:
    """Makes the case of a query that had no answer in all its time; `delivery` is the last that requested it."""
    kind, subject = unanswered_key(account, fetch)
    details: dict[str, object] = {
        "about": fetch.about,
        "payment_ref": fetch.payment_ref,
        "refund_ref": fetch.refund_ref,
        "order_ref": fetch.order_ref,
        "why": why,
        "since": progress.requested_at.isoformat(),
        "delivery": [str(part) for part in delivery],
    }
    # A new request that is not answered either is reported again, whoever resolved the case before.
    state = f"since {progress.requested_at.isoformat()}"
    return CaseReason(kind=kind, subject=subject, state=state, account=account, details=details)


def unaskable(account: str, *, why: str) -> CaseReason:
    """Makes the case of an account that cannot be asked, which waiting does not change."""
    kind, subject = unaskable_key(account)
    return CaseReason(kind=kind, subject=subject, account=account, details={"why": why})
