"""Reads what each of Adyen's event codes says of a payment, a refund or a dispute.

Whether a payment counts once it is authorized hangs on its account and its method (`CaptureMode`).
Where it does, all that is counted stands under no capture's name: a CAPTURE tells the same money again, and what undoes
it undoes all of it.  Else each CAPTURE is a part of its own, and CAPTURE_FAILED names the one that it undoes.

- CAPTURE_FAILED (it comes with success "true"), EXPIRE and CANCELLATION of what was counted: a reversal, and no refund,
  for the payer would be told of money that never left them.  Adyen may capture again by itself: that counts again.
- CANCEL_OR_REFUND: `modification.action`, which of both it was, is not signed.  Of what counts at once it is a refund
  either way, for the payer has all of it.  Else it lets the authorization go, and undoes what was captured.

Sources: Adyen/adyen-openapi, `json/Webhooks-v1.json`; docs.adyen.com, "Webhook structure and types", "Capture",
"Dispute webhooks"; adyen-magento2, `Helper/PaymentMethods.php`; the package adyen-php-api-library, its list of codes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.adyen.items import AdyenItem, failure_of, method_of
from tillkeeper.gateways.adyen.methods import CaptureMode
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at

Reader = Callable[[AdyenItem, CaptureMode], tuple[Fact, ...]]


def _fact(
    item: AdyenItem,
    kind: Kind,
    payment_ref: str | None,
    *,
    has_amount: bool = True,
    capture_ref: str | None = None,
    refund_ref: str | None = None,
    dispute_ref: str | None = None,
    failure: tuple[FailureClass | None, str | None] = (None, None),
    part: str = "",
) -> Fact:
    amount = item.amount if has_amount else None
    return Fact(
        kind=kind,
        order_ref=item.order_ref,
        payment_ref=payment_ref,
        capture_ref=capture_ref,
        refund_ref=refund_ref,
        dispute_ref=dispute_ref,
        amount=amount,
        currency=None if amount is None else item.currency,
        failure=failure[0],
        failure_code=failure[1],
        method=method_of(item),
        part=part,
    )


def _authorisation(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    if not item.succeeded:
        return (_fact(item, Kind.PAYMENT_FAILED, item.psp_ref, failure=failure_of(item)),)
    kind = Kind.PAYMENT_SUCCEEDED if mode.counts_at_once(item) else Kind.PAYMENT_AUTHORIZED
    return (_fact(item, kind, item.psp_ref),)


def _pending(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:  # noqa: ARG001
    return (_fact(item, Kind.PAYMENT_PENDING, item.payment_ref),)


def _adjusted(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    """Another amount is authorized from now on, of a payment that is captured later."""
    if mode.counts_at_once(item) or not item.succeeded:
        return ()
    return (_fact(item, Kind.PAYMENT_AUTHORIZED, item.payment_ref),)


def _capture(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    """One of possibly several.  One that was refused leaves the authorisation as it was: it can be tried again."""
    if not item.succeeded:
        return ()
    if mode.counts_at_once(item):
        return (_fact(item, Kind.PAYMENT_SUCCEEDED, item.original_ref),)
    captured = _fact(item, Kind.PAYMENT_SUCCEEDED, item.original_ref, capture_ref=item.psp_ref)
    if not mode.releases_rest:
        return (captured,)
    return captured, _fact(item, Kind.PAYMENT_CANCELLED, item.original_ref, has_amount=False, part="released")


def _capture_failed(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    capture_ref = None if mode.counts_at_once(item) else item.psp_ref
    return (_fact(item, Kind.PAYMENT_REVERSED, item.payment_ref, capture_ref=capture_ref),)


def _cancellation(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    """One that did not come about leaves the payment as it was."""
    if not item.succeeded:
        return ()
    return _ended(item, FailureClass.USER_CANCELLED, undoes=mode.counts_at_once(item))


def _cancel_or_refund(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    """A refund of nothing would say nothing."""
    if not item.succeeded:
        return _failed_refund(item)
    if mode.counts_at_once(item) and item.value:
        return (_fact(item, Kind.REFUND_SUCCEEDED, item.original_ref, refund_ref=item.psp_ref),)
    return _ended(item, FailureClass.USER_CANCELLED, undoes=True)


def _expire(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    return _ended(item, FailureClass.EXPIRED_UNPAID, undoes=mode.counts_at_once(item))


def _offer_closed(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:  # noqa: ARG001 - nothing had been authorized
    return _ended(item, FailureClass.EXPIRED_UNPAID, undoes=False)


def _ended(item: AdyenItem, failure: FailureClass, *, undoes: bool) -> tuple[Fact, ...]:
    """The amount is what was let go, not what is asked."""
    why = failure, None
    over = _fact(item, Kind.PAYMENT_CANCELLED, item.payment_ref, has_amount=False, failure=why)
    if not undoes:
        return (over,)
    undone = _fact(item, Kind.PAYMENT_REVERSED, item.payment_ref, has_amount=False, failure=why, part="reversed")
    return over, undone


def _refund(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:  # noqa: ARG001
    if not item.succeeded:
        return _failed_refund(item)
    return (_fact(item, Kind.REFUND_SUCCEEDED, item.original_ref, refund_ref=item.psp_ref),)


def _refund_failed(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:  # noqa: ARG001 - success "true": it did fail
    return _failed_refund(item)


def _failed_refund(item: AdyenItem) -> tuple[Fact, ...]:
    failure = failure_of(item)
    return (_fact(item, Kind.REFUND_FAILED, item.original_ref, refund_ref=item.psp_ref, failure=failure),)


def _dispute(kind: Kind) -> Reader:
    """Reads what happens to a dispute as that; all of one dispute has one pspReference."""

    def read(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:  # noqa: ARG001
        return (_fact(item, kind, item.payment_ref, dispute_ref=item.psp_ref),)

    return read


def _defense_ended(item: AdyenItem, mode: CaptureMode) -> tuple[Fact, ...]:
    """Nobody defended in time.  `disputeStatus` is not signed, and makes it worse at most."""
    is_lost = at(item.raw, ["additionalData", "disputeStatus"]) == "Lost"
    return _dispute(Kind.DISPUTE_LOST if is_lost else Kind.DISPUTE_OPENED)(item, mode)


# Every code that changes what we know.
READERS: Final[Mapping[str, Reader]] = {
    "AUTHORISATION": _authorisation,
    "AUTHORISATION_ADJUSTMENT": _adjusted,
    "PENDING": _pending,
    "CAPTURE": _capture,
    "CAPTURE_FAILED": _capture_failed,
    "CANCELLATION": _cancellation,
    "TECHNICAL_CANCEL": _cancellation,
    "CANCEL_OR_REFUND": _cancel_or_refund,
    "EXPIRE": _expire,
    "OFFER_CLOSED": _offer_closed,
    "REFUND": _refund,
    "REFUND_WITH_DATA": _refund,
    "REFUND_FAILED": _refund_failed,
    "REFUNDED_REVERSED": _refund_failed,
    "REQUEST_FOR_INFORMATION": _dispute(Kind.DISPUTE_OPENED),
    "INFORMATION_SUPPLIED": _dispute(Kind.DISPUTE_OPENED),
    "NOTIFICATION_OF_CHARGEBACK": _dispute(Kind.DISPUTE_OPENED),
    "CHARGEBACK": _dispute(Kind.DISPUTE_OPENED),  # the money is gone, and can be defended
    "DISPUTE_OPENED_WITH_CHARGEBACK": _dispute(Kind.DISPUTE_OPENED),
    "DISPUTE_DEFENSE_PERIOD_ENDED": _defense_ended,
    "CHARGEBACK_REVERSED": _dispute(Kind.DISPUTE_WON),
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _dispute(Kind.DISPUTE_WON),
    "PREARBITRATION_WON": _dispute(Kind.DISPUTE_WON),
    "SCHEME_ARBITRATION_WON": _dispute(Kind.DISPUTE_WON),
    "SECOND_CHARGEBACK": _dispute(Kind.DISPUTE_LOST),
    "PREARBITRATION_LOST": _dispute(Kind.DISPUTE_LOST),
    "SCHEME_ARBITRATION_LOST": _dispute(Kind.DISPUTE_LOST),
}
# Genuine, and no order's money moves by them: they are acknowledged.  What follows a review, a closed partial payment
# or a postponed refund comes under a code of its own.
OF_NO_ORDER: Final = frozenset(
    {
        "ACH_NOTIFICATION_OF_CHANGE",
        "ADVICE_OF_DEBIT",
        "AUTHENTICATION",
        "AUTORESCUE",
        "AUTORESCUE_NEXT_ATTEMPT",
        "CANCEL_AUTORESCUE",
        "DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION",
        "DISABLE_RECURRING",
        "DONATION",
        "HANDLED_EXTERNALLY",
        "ISSUER_COMMENTS",
        "MANUAL_REVIEW_ACCEPT",
        "MANUAL_REVIEW_REJECT",
        "NOTIFICATIONTEST",
        "NOTIFICATION_OF_FRAUD",
        "ORDER_CLOSED",
        "ORDER_OPENED",
        "PAIDOUT_REVERSED",
        "PAYOUT_DECLINE",
        "PAYOUT_EXPIRE",
        "PAYOUT_THIRDPARTY",
        "POSTPONED_REFUND",
        "RECURRING_CONTRACT",
        "REPORT_AVAILABLE",
        "VOID_PENDING_REFUND",
    }
)
