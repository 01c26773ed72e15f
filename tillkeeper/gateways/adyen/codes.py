"""What each of Adyen's event codes says of a payment, a refund or a dispute.

Whether a payment counts once it is authorized hangs on its account and its method (`at_once`, see `adyen_methods`).
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

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.adyen.items import Item, why
from tillkeeper.gateways.kit.fields import at


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one item says, before it is given its event's id and time.  `also` says the rest, by what its id ends in."""

    kind: Kind
    payment_ref: str | None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    has_amount: bool = True
    failure: FailureClass | None = None
    failure_code: str | None = None
    also: "tuple[str, Said] | None" = None


Reader = Callable[[Item, bool], Said | None]  # bool: whether what is authorized counts at once


def _authorisation(item: Item, at_once: bool) -> Said:
    if item.succeeded:
        kind = Kind.PAYMENT_SUCCEEDED if at_once else Kind.PAYMENT_AUTHORIZED
        return Said(kind=kind, payment_ref=item.psp_ref)
    failure, code = why(item)
    return Said(kind=Kind.PAYMENT_FAILED, payment_ref=item.psp_ref, failure=failure, failure_code=code)


def _pending(item: Item, at_once: bool) -> Said:  # noqa: ARG001
    return Said(kind=Kind.PAYMENT_PENDING, payment_ref=item.payment_ref)


def _adjusted(item: Item, at_once: bool) -> Said | None:
    """Another amount is authorized from now on, of a payment that is captured later."""
    if at_once or not item.succeeded:
        return None
    return Said(kind=Kind.PAYMENT_AUTHORIZED, payment_ref=item.payment_ref)


def _capture(item: Item, at_once: bool) -> Said | None:
    """One of possibly several.  One that was refused leaves the authorisation as it was: it can be tried again."""
    if not item.succeeded:
        return None
    capture_ref = None if at_once else item.psp_ref
    return Said(kind=Kind.PAYMENT_SUCCEEDED, payment_ref=item.original_ref, capture_ref=capture_ref)


def _capture_failed(item: Item, at_once: bool) -> Said:
    capture_ref = None if at_once else item.psp_ref
    return Said(kind=Kind.PAYMENT_REVERSED, payment_ref=item.payment_ref, capture_ref=capture_ref)


def _cancellation(item: Item, at_once: bool) -> Said | None:
    """One that did not come about leaves the payment as it was."""
    return _over(item, FailureClass.USER_CANCELLED, undoes=at_once) if item.succeeded else None


def _cancel_or_refund(item: Item, at_once: bool) -> Said:
    """A refund of nothing would say nothing."""
    if not item.succeeded:
        return _failed_refund(item)
    if at_once and item.value:
        return Said(kind=Kind.REFUND_SUCCEEDED, payment_ref=item.original_ref, refund_ref=item.psp_ref)
    return _over(item, FailureClass.USER_CANCELLED, undoes=True)


def _expire(item: Item, at_once: bool) -> Said:
    return _over(item, FailureClass.EXPIRED_UNPAID, undoes=at_once)


def _offer_closed(item: Item, at_once: bool) -> Said:  # noqa: ARG001 - nothing had been authorized
    return _over(item, FailureClass.EXPIRED_UNPAID, undoes=False)


def _over(item: Item, failure: FailureClass, *, undoes: bool) -> Said:
    """The amount is what was let go, not what is asked."""
    undone = Said(kind=Kind.PAYMENT_REVERSED, payment_ref=item.payment_ref, has_amount=False, failure=failure)
    over = msgspec.structs.replace(undone, kind=Kind.PAYMENT_CANCELLED)
    return msgspec.structs.replace(over, also=("reversed", undone)) if undoes else over


def _refund(item: Item, at_once: bool) -> Said:  # noqa: ARG001
    if item.succeeded:
        return Said(kind=Kind.REFUND_SUCCEEDED, payment_ref=item.original_ref, refund_ref=item.psp_ref)
    return _failed_refund(item)


def _refund_failed(item: Item, at_once: bool) -> Said:  # noqa: ARG001 - success "true" says that it failed
    return _failed_refund(item)


def _failed_refund(item: Item) -> Said:
    failure, code = why(item)
    return Said(
        kind=Kind.REFUND_FAILED,
        payment_ref=item.original_ref,
        refund_ref=item.psp_ref,
        failure=failure,
        failure_code=code,
    )


def _dispute(kind: Kind) -> Reader:
    """Reads what happens to a dispute as that; all of one dispute has one pspReference."""

    def read(item: Item, at_once: bool) -> Said:  # noqa: ARG001
        return Said(kind=kind, payment_ref=item.payment_ref, dispute_ref=item.psp_ref)

    return read


def _defense_ended(item: Item, at_once: bool) -> Said:  # noqa: ARG001
    """Nobody defended in time.  `disputeStatus` is not signed, and makes it worse at most."""
    is_lost = at(item.whole, ["additionalData", "disputeStatus"]) == "Lost"
    kind = Kind.DISPUTE_LOST if is_lost else Kind.DISPUTE_OPENED
    return Said(kind=kind, payment_ref=item.payment_ref, dispute_ref=item.psp_ref)


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
