"""Adds up an order's money: captured, authorized, refunding, refunded and discounted.

Facts that do not count, in another currency or at an account where no payment is expected, are in none of the sums.
"""

from collections.abc import Iterator, Mapping

import msgspec

from tillkeeper.domain.order.facts import WITHDRAWN, ObjectKey, ObjectStatus, OrderFacts, PaymentFacts, ReturnFacts, Sum
from tillkeeper.domain.order.registration import Order

PaymentKey = tuple[str, str | None]  # (account, payment reference), or (account, None) where the payment is not known


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of an order, from which the status table decides."""

    due: int
    discount: int
    captured: int
    refunding: int
    refunded: int
    refund_pending: bool
    statuses: frozenset[ObjectStatus]
    unseen: bool  # a payment is implied (unseen_payments)


def add_up(order: Order, facts: OrderFacts) -> Sums:
    """Adds up the facts that count for the order."""
    captured = refunding = discount = 0
    refund_pending = False
    statuses = set[ObjectStatus]()
    for (account, _), payment in facts.payments.items():
        if payment.captures:  # without them nothing came in, and no discount stands
            captured += captured_of(order, account, payment)
            discount += discount_of(order, account, payment)
        if payment_counts(order, account, payment):
            statuses.add(payment.status)
    for (account, _), refund in facts.refunds.items():
        if refund.latest.status is ObjectStatus.PENDING and refund_counts(order, account, refund):
            refund_pending = True
            refunding += _minor(refund)
    has_returns = facts.has_returns
    return Sums(
        due=max(0, order.amount - discount),
        discount=min(order.amount, discount),
        captured=captured,
        refunding=refunding,
        refunded=refunded_in_all(order, facts) if has_returns else 0,
        refund_pending=refund_pending,
        statuses=frozenset(statuses),
        unseen=has_returns and bool(unseen_payments(order, facts)),
    )


def payment_counts(order: Order, account: str, payment: PaymentFacts) -> bool:
    """Returns False where all that is known of it is in another currency, or where it is not expected."""
    if account not in order.accounts:
        return False
    if payment.asked is None and not payment.captures:
        return True
    if payment.asked is not None and payment.asked.currency == order.currency:
        return True
    for capture in payment.captures.values():  # noqa: SIM110 - a generator costs more than the one capture in it
        if capture.currency == order.currency:
            return True
    return False


def refund_counts(order: Order, account: str, refund: ReturnFacts) -> bool:
    """Returns False where it is in another currency, or where it is not expected."""
    return account in order.accounts and (refund.amount is None or refund.amount.currency == order.currency)


def refunded_in_all(order: Order, facts: OrderFacts) -> int:
    """Returns what all payments together gave back."""
    keys: set[PaymentKey] = {key for key, payment in facts.payments.items() if payment.given_back is not None}
    keys |= {
        (account, payment_ref_of(facts, account, refund)) for (account, _), refund in refunds_of_money(facts).items()
    }
    return sum(refunded_of(order, facts, key) for key in keys)


def captured_of(order: Order, account: str, payment: PaymentFacts) -> int:
    """Returns what one payment brought in for this order, less what its gateway reversed."""
    if account not in order.accounts or not payment.captures:
        return 0
    if payment.on_top is None and not payment.reversals:  # as nearly always
        captured = 0
        for capture in payment.captures.values():
            if capture.currency == order.currency:
                captured += capture.minor
        return captured
    kept = [capture for capture in payment.kept_captures if capture.currency == order.currency]
    return sum(capture.minor for capture in kept) - _extra_in_capture(payment, kept)


def _extra_in_capture(payment: PaymentFacts, kept: list[Sum]) -> int:
    """Returns what was paid on top and is part of the capture's amount all the same, by a report without fee or tip.

    Such a report comes beside one that tells both amounts: the sum of those is how it is known.
    """
    on_top, net, captured = payment.on_top, payment.net, payment.captures.get("")
    if on_top is None or net is None or captured is None or not any(capture is captured for capture in kept):
        return 0
    is_gross = captured.minor == net.minor + on_top.minor and captured.currency == net.currency == on_top.currency
    return on_top.minor if is_gross else 0


def held_of(order: Order, account: str, payment: PaymentFacts) -> int:
    """Returns what an authorization still holds beside what was captured of it, and may be captured yet.

    A capture without a name is its payment's only one and ends the authorization, unless that was said since to stand
    beside it.
    """
    held, unnamed = payment.authorized, payment.captures.get("")
    if held is None or held.currency != order.currency:
        return 0
    stands_beside = unnamed is None or (payment.in_parts_at is not None and payment.in_parts_at >= unnamed.at)
    if not (payment.status is ObjectStatus.SUCCEEDED and stands_beside and payment.is_held):
        return 0
    return max(0, held.minor - captured_of(order, account, payment)) if account in order.accounts else 0


def held_in_all(order: Order, facts: OrderFacts) -> int:
    """Returns what the authorizations of payments that were captured in part still hold."""
    return sum(held_of(order, account, payment) for (account, _), payment in facts.payments.items())


def charged_back(order: Order, facts: OrderFacts) -> int:
    """Returns what payers got back through disputes that were lost."""
    if not facts.disputes:
        return 0  # as nearly always
    return sum(
        dispute.amount.minor
        for (account, _), dispute in facts.disputes.items()
        if dispute.latest.status is ObjectStatus.LOST
        and dispute.amount is not None
        and dispute.amount.currency == order.currency
        and account in order.accounts
    )


def discount_of(order: Order, account: str, payment: PaymentFacts) -> int:
    """Returns the discount that a gateway granted with one payment, while anything that this captured still stands."""
    granted = payment.discount
    if granted is None or account not in order.accounts or granted.currency != order.currency:
        return 0
    return granted.minor if payment.kept_captures else 0


def refunds_of(order: Order, facts: OrderFacts, key: PaymentKey) -> list[ReturnFacts]:
    """Returns the refunds of one payment whose amounts are known and in the order's currency."""
    return [
        refund
        for (account, _), refund in refunds_of_money(facts).items()
        if account == key[0]
        and payment_ref_of(facts, account, refund) == key[1]
        and refund.amount
        and refund.amount.currency == order.currency
    ]


def refunded_of(order: Order, facts: OrderFacts, key: PaymentKey) -> int:
    """Returns what one payment (account, payment reference or None) gave back.

    The greater of the sum of its succeeded refunds, and the gateway's running total less the known refunds that are
    pending or that failed once the total was reported: a total counts refunds from the moment they are made.  What was
    given on top and goes back as well is not the order's.
    """
    account, payment_ref = key
    payment = facts.payments.get((account, payment_ref)) if payment_ref else None
    given = _given_back(order, facts, key, payment)
    if payment is None or payment.on_top is None or payment.on_top.currency != order.currency:
        return given
    captured = captured_of(order, account, payment)
    return captured if captured < given <= captured + payment.on_top.minor else given


def _given_back(order: Order, facts: OrderFacts, key: PaymentKey, payment: PaymentFacts | None) -> int:
    if key[0] not in order.accounts:
        return 0
    refunds = refunds_of(order, facts, key)
    succeeded = sum(_minor(refund) for refund in refunds if refund.latest.status is ObjectStatus.SUCCEEDED)
    if payment is None or payment.given_back is None or payment.given_back.currency != order.currency:
        return succeeded
    total = payment.given_back
    not_given = sum(_minor(refund) for refund in refunds if _is_in_total_but_not_given(refund, total))
    return max(succeeded, total.minor - not_given)


def on_top_of(order: Order, account: str, payment: PaymentFacts) -> int:
    """Returns what the payer of one payment gave on top, while anything that it captured still stands."""
    on_top = payment.on_top
    if on_top is None or account not in order.accounts or on_top.currency != order.currency:
        return 0
    return on_top.minor if payment.kept_captures else 0


def given_back_on_top(order: Order, facts: OrderFacts, key: ObjectKey) -> int:
    """Returns how much of what one payment gave back had been given on top, and is not in `refunded_of`."""
    payment = facts.payments[key]
    if payment.on_top is None:
        return 0
    return _given_back(order, facts, key, payment) - refunded_of(order, facts, key)


def unseen_payments(order: Order, facts: OrderFacts) -> frozenset[PaymentKey]:
    """Returns the payments that are refunded or disputed although no success of theirs is known."""
    if not facts.has_returns:
        return frozenset()
    told = {key for key, payment in facts.payments.items() if payment.given_back and payment.given_back.minor}
    named = {(account, payment_ref_of(facts, account, returned)) for (account, _), returned in _returns(order, facts)}
    return frozenset(key for key in (*told, *named) if key[0] in order.accounts and not _is_seen(order, facts, key))


def _returns(order: Order, facts: OrderFacts) -> Iterator[tuple[ObjectKey, ReturnFacts]]:
    """Yields refunds and disputes, which only a successful payment can have."""
    for key, refund in refunds_of_money(facts).items():
        if refund_counts(order, key[0], refund) and refund.latest.failure_code != WITHDRAWN:
            yield key, refund
    yield from facts.disputes.items()


def _is_seen(order: Order, facts: OrderFacts, key: PaymentKey) -> bool:
    """Returns True if it succeeded; where it is not named, if any of its account brought in money that counts."""
    account, payment_ref = key
    if payment_ref is None:
        return any(captured_of(order, account, payment) for key, payment in facts.payments.items() if key[0] == account)
    payment = facts.payments.get((account, payment_ref))
    return payment is not None and bool(payment.captures)


def refunds_of_money(facts: OrderFacts) -> Mapping[ObjectKey, ReturnFacts]:
    """Returns the refunds less those that only release an authorization: one of a payment at most."""
    if not any(refund.may_be_release for refund in facts.refunds.values()):
        return facts.refunds  # as nearly always
    releases: dict[PaymentKey, ObjectKey] = {}
    for key, refund in sorted(facts.refunds.items(), key=lambda item: item[0]):
        if refund.may_be_release and _is_as_released(facts.payments.get((key[0], refund.payment_ref or "")), refund):
            releases.setdefault((key[0], refund.payment_ref), key)
    return {key: refund for key, refund in facts.refunds.items() if key not in releases.values()}


def _is_as_released(payment: PaymentFacts | None, refund: ReturnFacts) -> bool:
    released, amount = payment and payment.released, refund.amount
    return bool(released and amount and (released.minor, released.currency) == (amount.minor, amount.currency))


def payment_ref_of(facts: OrderFacts, account: str, refund: ReturnFacts) -> str | None:
    """Returns the payment of a refund; where none is named, the only one at its account that brought money in."""
    if refund.payment_ref is not None:
        return refund.payment_ref
    paid = [ref for (at_account, ref), payment in facts.payments.items() if at_account == account and payment.captures]
    return paid[0] if len(paid) == 1 else None


def _is_in_total_but_not_given(refund: ReturnFacts, total: Sum) -> bool:
    # Within one instant the failure is the later word, as its rank is the higher.
    status = refund.latest.status
    return status is ObjectStatus.PENDING or (status is ObjectStatus.FAILED and refund.failed_for_good_at >= total.at)


def _minor(refund: ReturnFacts) -> int:
    return refund.amount.minor if refund.amount else 0
