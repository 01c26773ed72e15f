"""Reads out of an order's facts what a gateway's statement should say of a payment, a refund or a dispute."""

from datetime import datetime

import msgspec

from tillkeeper.domain.order.facts import ObjectStatus, PaymentFacts, ReturnFacts


class Movement(msgspec.Struct, frozen=True, gc=False):
    """Money that moved at a moment.  `amount` is in minor units; what came back to where it was is negative."""

    amount: int
    at: datetime
    part: str = ""  # the capture's reference, where a payment is captured in parts


class KnownMoney(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an object's money; without movements it moved none so far.

    `besides` are amounts that a gateway may list within the same line: a discount that it granted, what the payer gave
    on top.  `taken_back` is what its gateway reversed since, as a debit that failed late: some forms list that as well,
    under its own day.
    """

    currency: str | None = None
    movements: tuple[Movement, ...] = ()
    besides: tuple[int, ...] = ()
    taken_back: int = 0

    @property
    def amount(self) -> int:
        """Returns what moved in all."""
        return sum(movement.amount for movement in self.movements)


def known_payment(facts: PaymentFacts) -> KnownMoney:
    """Returns what a payment brought in.  What was reversed since stands as it came, for its line was written before;
    what it took back stands beside it."""
    if not facts.captures:
        return KnownMoney()
    movements = tuple(
        Movement(capture.minor, facts.captured_at.get(part, capture.at), part)
        for part, capture in facts.captures.items()
    )
    besides = tuple(told.minor for told in (facts.discount, facts.on_top) if told is not None and told.minor)
    currency = next(iter(facts.captures.values())).currency
    taken_back = sum(capture.minor for capture in facts.undone_captures)
    return KnownMoney(currency=currency, movements=movements, besides=besides, taken_back=taken_back)


def known_refund(facts: ReturnFacts) -> KnownMoney:
    """Returns what a refund gave back; one that failed after it succeeded came back to the merchant."""
    if facts.amount is None:
        return KnownMoney()
    amount, latest, movements = facts.amount.minor, facts.latest, list[Movement]()
    if latest.status is ObjectStatus.SUCCEEDED:
        movements = [Movement(amount, facts.succeeded_at or latest.at)]
    elif latest.status is ObjectStatus.FAILED and facts.succeeded_at is not None:
        movements = [Movement(amount, facts.succeeded_at), Movement(-amount, facts.first_failed_at)]
    return KnownMoney(currency=facts.amount.currency, movements=tuple(movements))


def known_dispute(facts: ReturnFacts) -> KnownMoney:
    """Returns what a dispute took: nothing once it is won."""
    if facts.amount is None or facts.latest.status is ObjectStatus.WON:
        return KnownMoney()
    return KnownMoney(currency=facts.amount.currency, movements=(Movement(facts.amount.minor, facts.latest.at),))
