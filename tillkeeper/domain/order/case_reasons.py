"""Finds what about an order's facts needs a person, each with a key by which its case opens once.

    a failed refund that nothing replaced (owed_refunds.py) · money of a wrong account or currency (mismatch.py)
    sums that disagree · refunds without their payment · reversed payments · disputes

cases.py decides what becomes of the case.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts, PaymentFacts, ReturnFacts, Sum
from tillkeeper.domain.order.owed_refunds import owed_refunds
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary, summarize
from tillkeeper.domain.order.sums import captured_of

STANDS: Final = "stands"  # the state of what either is so or is not; cases.py compares the sums of those that have sums


# The states of objects in which money is at stake.  One that failed, was won or has only begun moves no money.
AT_STAKE: Final = frozenset(
    {ObjectStatus.PENDING, ObjectStatus.AUTHORIZED, ObjectStatus.SUCCEEDED, ObjectStatus.OPENED, ObjectStatus.LOST}
)


class CaseReason(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for a case, identified by (kind, subject).

    `state` is the present state in a few words: a function of the facts, without times.  A person who resolves the case
    has settled that state; another state is reported again.  "" is a state in which nothing is at stake, and None means
    that the case is about something that happened once.
    """

    kind: CaseKind
    subject: str
    state: str | None = None
    account: str | None = None
    details: dict[str, object] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Returns the kind and subject that name its case."""
        return self.kind, self.subject

    def sum(self, name: str) -> int | None:
        """Returns one of the sums that it is about, where it is about sums."""
        amount = self.details.get(name)
        return amount if isinstance(amount, int) else None


def event_subject(account: str, event_id: str) -> str:
    """Names an event for its case."""
    return f"event:{account}/{event_id}"


def reasons_in(order: Order, facts: OrderFacts, summary: Summary | None = None) -> Iterator[CaseReason]:
    """Yields everything about these facts that opens a case, each named so that it opens once.

    `summary` is that of the facts, from a caller that has it already.
    """
    summary = summary or summarize(order, facts)
    yield from _mismatched_objects(order, facts)
    yield from _sums_that_disagree(order, facts, summary)
    yield from _refunds_unknown(order, facts)
    if facts.has_returns:
        yield from _failed_refunds(order, facts, summary)
        yield from _reversed_payments(order, facts, summary)
        yield from _disputes(facts)


def _disputes(facts: OrderFacts) -> Iterator[CaseReason]:
    for (account, dispute_ref), dispute in facts.disputes.items():
        status = dispute.latest.status
        if status is not ObjectStatus.WON:
            details: dict[str, object] = {"state": status, "payment_ref": dispute.payment_ref, **_amount(dispute)}
            subject = f"dispute:{account}/{dispute_ref}"
            yield CaseReason(kind=CaseKind.DISPUTED, subject=subject, state=status, account=account, details=details)


def _mismatched_objects(order: Order, facts: OrderFacts) -> Iterator[CaseReason]:
    for (account, ref), payment in facts.payments.items():
        if account in order.accounts and _is_in_currency(order, payment):
            continue
        moved = [payment.given_back, *payment.captures.values()]
        stands = _ObjectState(status=payment.status, moved=moved)
        yield from _mismatches(order, f"payment:{account}/{ref}", account, [payment.asked, *moved], stands)
    for name, objects in (("refund", facts.refunds), ("dispute", facts.disputes)):
        for (account, ref), returned in objects.items():
            amount = returned.amount
            if account not in order.accounts or (amount is not None and amount.currency != order.currency):
                stands = _ObjectState(status=returned.latest.status, moved=[amount])
                yield from _mismatches(order, f"{name}:{account}/{ref}", account, [amount], stands)


def _is_in_currency(order: Order, payment: PaymentFacts) -> bool:
    """Returns True if all that is known of its amounts is in the order's currency."""
    for amount in (payment.asked, payment.given_back):
        if amount is not None and amount.currency != order.currency:
            return False
    for capture in payment.captures.values():  # noqa: SIM110 - a generator costs more than the one capture in it
        if capture.currency != order.currency:
            return False
    return True


class _ObjectState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a mismatched object, and the amounts that it moved."""

    status: ObjectStatus
    moved: Sequence[Sum | None]

    def state(self, *, but: str | None = None) -> str:
        """Describes where it stands, without amounts in the currency `but`, which are as they should be."""
        if self.status not in AT_STAKE:
            return ""
        sums = Counter[str]()
        for amount in self.moved:
            if amount is not None and amount.currency != but:
                sums[amount.currency] += amount.minor
        return " ".join([self.status, *(f"{minor} {currency}" for currency, minor in sorted(sums.items()))])


def _mismatches(
    order: Order, subject: str, account: str, told: Iterable[Sum | None], stands: _ObjectState
) -> Iterator[CaseReason]:
    if account not in order.accounts:
        state = stands.state()
        yield CaseReason(
            kind=CaseKind.UNEXPECTED_ACCOUNT, subject=subject, state=state, account=account, details={"state": state}
        )
    foreign = {amount.currency for amount in told if amount is not None and amount.currency != order.currency}
    if foreign:
        state = stands.state(but=order.currency)
        details: dict[str, object] = {"currencies": sorted(foreign), "expected": order.currency, "state": state}
        yield CaseReason(kind=CaseKind.WRONG_CURRENCY, subject=subject, state=state, account=account, details=details)


def _amount(of: ReturnFacts) -> dict[str, object]:
    return {} if of.amount is None else {"amount": of.amount.minor, "currency": of.amount.currency}


def _sums_that_disagree(order: Order, facts: OrderFacts, summary: Summary) -> Iterator[CaseReason]:
    captured, refunded, due = summary.captured, summary.refunded, order.amount - summary.discount
    if captured - due <= refunded <= captured:
        return
    subject = f"order:{order.order_ref}"
    details: dict[str, object] = {"captured": captured, "due": due, "currency": order.currency}
    if captured - refunded > due:
        brought_in = [captured_of(order, account, payment) for (account, _), payment in facts.payments.items()]
        covering = sum(part >= due > 0 for part in brought_in)
        kind = CaseKind.PAID_TWICE if covering > 1 else CaseKind.OVERPAID
        yield CaseReason(kind=kind, subject=subject, state=STANDS, details=details)
    if refunded > captured and _was_captured(order, facts):  # until then the payment's own event is merely late
        details = {**details, "refunded": refunded}
        yield CaseReason(kind=CaseKind.REFUNDED_MORE_THAN_CAPTURED, subject=subject, state=STANDS, details=details)


def _was_captured(order: Order, facts: OrderFacts) -> bool:
    """Returns True if any money came in that counts, reversed since or not."""
    return any(
        capture.currency == order.currency
        for (account, _), payment in facts.payments.items()
        if account in order.accounts
        for capture in payment.captures.values()
    )


def _reversed_payments(order: Order, facts: OrderFacts, summary: Summary) -> Iterator[CaseReason]:
    """Yields successes that their gateway reversed, until the order is paid: goods may be delivered for them."""
    undone_of = {
        key: undone
        for key, payment in facts.payments.items()
        if payment.reversals and key[0] in order.accounts
        if (undone := sum(capture.minor for capture in payment.undone_captures if capture.currency == order.currency))
    }
    if summary.captured + summary.discount >= order.amount:
        return
    for (account, ref), undone in undone_of.items():
        yield CaseReason(
            kind=CaseKind.PAYMENT_REVERSED,
            subject=f"payment:{account}/{ref}",
            state=f"reversed {undone} {order.currency}",
            account=account,
            details={"amount": undone, "currency": order.currency, "captured": summary.captured, "due": order.amount},
        )


def _failed_refunds(order: Order, facts: OrderFacts, summary: Summary) -> Iterator[CaseReason]:
    """Yields refunds that failed: the payer waits for the money."""
    all_is_back = summary.refunded >= summary.captured > 0
    if all_is_back or not facts.refunds:
        return
    for (account, ref), refund in owed_refunds(order, facts):
        details: dict[str, object] = {
            "amount": refund.amount and refund.amount.minor,
            "currency": order.currency,
            "payment_ref": refund.payment_ref,
            "failure": refund.latest.failure or None,
            "failure_code": refund.latest.failure_code or None,
        }
        subject = f"refund:{account}/{ref}"
        yield CaseReason(kind=CaseKind.REFUND_FAILED, subject=subject, state=STANDS, account=account, details=details)


def _refunds_unknown(order: Order, facts: OrderFacts) -> Iterator[CaseReason]:
    """Yields payments of which the gateway says that something was refunded, but not what: its statement tells."""
    for (account, payment_ref), payment in facts.payments.items():
        if payment.refunds_told_at is None or payment.given_back is not None or account not in order.accounts:
            continue
        if not any(
            key[0] == account and refund.payment_ref in {payment_ref, None} for key, refund in facts.refunds.items()
        ):
            details: dict[str, object] = {"payment_ref": payment_ref, "currency": order.currency}
            subject = f"payment:{account}/{payment_ref}"
            yield CaseReason(
                kind=CaseKind.REFUND_UNKNOWN, subject=subject, state=STANDS, account=account, details=details
            )


def unmatched(event: PaymentEvent) -> CaseReason:
    """Makes the case of money that waits too long for its order."""
    return CaseReason(
        kind=CaseKind.UNMATCHED_PAYMENT,
        subject=event_subject(event.account, event.event_id),
        account=event.account,
        details={
            "says": event.kind,
            "order_ref": event.order_ref,
            "payment_ref": event.payment_ref,
            "amount": event.amount,
            "currency": event.currency,
            "occurred_at": event.occurred_at.isoformat(),
        },
    )
