"""Reads what Stripe's charges say, and how they count what was authorized and never taken.

Until API release basil (2025-03-31) whatever was let go of an authorization, whole or in part, made a Refund and stood
in `amount_refunded`; since then it does neither.  An event is rendered by its own `api_version`; a charge often tells
by itself which way it counts, and that goes first.

Sources: docs.stripe.com, changelog basil 2025-03-31 ("Partially capturing or canceling payments no longer creates a
Refund") and acacia 2024-10-28 (`refund.created`); the API reference on charges (`failure_balance_transaction`).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, text, text_or_none
from tillkeeper.gateways.stripe.objects import FAILURES, Facts, classed

BASIL: Final = "2025-03-31"
BASIL_AT: Final = datetime(2025, 3, 31, tzinfo=UTC)
UNDONE: Final = frozenset({"failed", "canceled"})  # refunds


def releases_are_refunds(api_version: str | None, created: datetime) -> bool:
    """Tells whether objects of that version count released money as refunded.

    An event without a version is written in the account's own, which its age tells.
    """
    return created < BASIL_AT if api_version is None else api_version[: len(BASIL)] < BASIL


def payment_of(charge: object) -> str:
    """Returns the intent of a charge, or the charge itself where it is older than intents."""
    return text_or_none(charge, "payment_intent") or text(charge, "id")


def charge_fact(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Fact]:
    """Makes a reader that reads a charge as that kind."""

    def read(charge: object) -> Fact:
        return Fact(kind=kind, payment_ref=payment_of(charge), amount=integer(charge, "amount"), failure=failure)

    return read


def charge_succeeded(charge: object) -> Facts:
    """Reads a charge that succeeded; without a capture it is an authorization."""
    return charge_captured(charge) if is_captured(charge) else [charge_fact(Kind.PAYMENT_AUTHORIZED)(charge)]


def charge_captured(charge: object) -> Facts:
    """Reads what was captured, which may be less than was authorized."""
    return [
        Fact(
            kind=Kind.PAYMENT_SUCCEEDED,
            payment_ref=payment_of(charge),
            amount=integer(charge, "amount") if _has_no_parts(charge) else integer(charge, "amount_captured"),
            released=released(charge) or None,
        )
    ]


def charge_expired(charge: object) -> Facts:
    """Reads a charge whose authorization ran out."""
    return [
        Fact(
            kind=Kind.PAYMENT_CANCELLED,
            payment_ref=payment_of(charge),
            amount=integer(charge, "amount"),
            released=released(charge) or None,
            failure=FailureClass.EXPIRED_UNPAID,
        )
    ]


def charge_failed(charge: object) -> Facts:
    """Reads a charge that failed.

    The reason of its outcome says more than its code.  Money that had been credited is taken back again.
    """
    failure, code = classed(FAILURES, text_or_none(charge, "outcome", "reason"), text_or_none(charge, "failure_code"))
    fact = Fact(
        kind=Kind.PAYMENT_FAILED,
        payment_ref=payment_of(charge),
        amount=integer(charge, "amount"),
        failure=failure,
        failure_code=code,
    )
    return [fact, *charge_reversed(charge)]


def charge_reversed(charge: object) -> Facts:
    """Reads a bank debit that failed after it had been credited."""
    if at(charge, ["failure_balance_transaction"]) is None:
        return []
    return [Fact(kind=Kind.PAYMENT_REVERSED, payment_ref=payment_of(charge))]


def charge_refunded(charge: object, *, releases: bool) -> Facts:
    """Reads what the charge has given back so far; nothing where an authorization was only released.

    `releases` says whether its version counts released money as refunded.
    """
    total = given_back(charge, releases=releases)
    if total <= 0:
        return []
    let_go = released(charge) or None
    return [Fact(kind=Kind.REFUND_SUCCEEDED, payment_ref=payment_of(charge), total=total, released=let_go)]


def is_captured(charge: object) -> bool:
    """Tells whether a charge is captured; one that does not say was captured at once."""
    captured = at(charge, ["captured"])
    if captured is not None and not isinstance(captured, bool):
        raise BadPayload("captured of the charge is not true or false")
    return captured is not False


def released(charge: object) -> int:
    """Returns how much of the authorization was never captured."""
    if not is_captured(charge):
        return integer(charge, "amount")
    if _has_no_parts(charge):
        return 0
    return max(0, integer(charge, "amount") - integer(charge, "amount_captured"))


def _has_no_parts(charge: object) -> bool:
    return at(charge, ["amount_captured"]) is None  # in an API that knows of no parts


def given_back(charge: object, *, releases: bool) -> int:
    """Returns how much of the captured money went back."""
    if not is_captured(charge):
        return 0
    refunded = integer(charge, "amount_refunded")
    return refunded - released(charge) if counts_releases(charge, releases=releases) else refunded


def counts_releases(charge: object, *, releases: bool) -> bool:
    """Tells whether `amount_refunded` includes released money.

    The sums decide where they can, else its version does (`releases`).
    """
    let_go, refunded = released(charge), integer(charge, "amount_refunded")
    taken = integer(charge, "amount") - let_go
    if let_go == 0 or refunded < let_go:
        return False
    if refunded > taken:
        return True  # more than was there to be given back
    all_back = at(charge, ["refunded"])
    if all_back is True:
        return False  # otherwise "all" would be the whole amount
    if refunded == taken and all_back is False:
        return True
    return True if _listed_refunds(charge) == refunded - let_go else releases


def _listed_refunds(charge: object) -> int | None:
    """Returns the sum of the refunds that the charge lists, where it lists all."""
    refunds = at(charge, ["refunds"])
    data = at(refunds, ["data"]) if isinstance(refunds, dict) else None
    if not isinstance(data, list) or at(refunds, ["has_more"]) is True:
        return None
    return sum(integer(refund, "amount") for refund in data if text_or_none(refund, "status") not in UNDONE)
