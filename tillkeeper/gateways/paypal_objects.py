"""What PayPal's objects say: captures, authorizations, orders, refunds and disputes, and the sales of its first API.

Sources: PayPal's references of Orders v2, Payments v2, Payments v1 and Disputes v1; the grouping of its codes is ours.

A payment is known by its capture, for that is all that a refund names.  What comes before a capture is a payment of its
own, whose reference tells what it is: `order-ID` and `authorization-ID`.  Sales and refunds of the first API are
`sale-ID`, for they are asked about elsewhere.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways import units
from tillkeeper.gateways.base import BadPayload
from tillkeeper.gateways.fields import at, moment_from_rfc3339, text, text_or_none

ORDER: Final = "order-"
AUTHORIZATION: Final = "authorization-"
SALE: Final = "sale-"
REVERSAL: Final = "reversal-"
DISPUTE: Final = "dispute-"  # in questions alone

_CAPTURE_PATH: Final = re.compile(r"https?://[^/?#]+/v2/payments/captures/([A-Za-z0-9_]{1,32})", re.ASCII)

FAILURES: Final = {
    # reasons of status_details, and errors of orders
    "DECLINED_BY_RISK_FRAUD_FILTERS": FailureClass.SUSPECTED_FRAUD,
    "TRANSACTION_LIMIT_EXCEEDED": FailureClass.LIMIT_EXCEEDED,
    "PAYER_ACCOUNT_RESTRICTED": FailureClass.ACCOUNT_FROZEN,
    "PAYEE_ACCOUNT_RESTRICTED": FailureClass.ACCOUNT_FROZEN,
    "ORDER_EXPIRED": FailureClass.EXPIRED_UNPAID,
    "PAYER_CANNOT_PAY": FailureClass.METHOD_UNAVAILABLE,
    "INSTRUMENT_DECLINED": FailureClass.UNKNOWN,
    # processor_response.response_code of cards
    "0500": FailureClass.UNKNOWN,
    "0890": FailureClass.BANK_VERIFICATION_FAILED,
    "0960": FailureClass.GATEWAY_FAULT,
    "1330": FailureClass.CARD_EXPIRED_OR_INVALID,
    "5100": FailureClass.UNKNOWN,
    "5110": FailureClass.CARD_EXPIRED_OR_INVALID,
    "5120": FailureClass.INSUFFICIENT_FUNDS,
    "5130": FailureClass.BANK_VERIFICATION_FAILED,
    "5135": FailureClass.BANK_VERIFICATION_FAILED,
    "5140": FailureClass.ACCOUNT_FROZEN,
    "5150": FailureClass.ACCOUNT_FROZEN,
    "5180": FailureClass.CARD_EXPIRED_OR_INVALID,
    "5400": FailureClass.CARD_EXPIRED_OR_INVALID,
    "5500": FailureClass.BANK_VERIFICATION_FAILED,
    "5650": FailureClass.BANK_VERIFICATION_FAILED,
    "5700": FailureClass.METHOD_UNAVAILABLE,
    "5930": FailureClass.ACCOUNT_FROZEN,
    "9500": FailureClass.SUSPECTED_FRAUD,
    "9510": FailureClass.SUSPECTED_FRAUD,
    "9520": FailureClass.ACCOUNT_FROZEN,
    "9540": FailureClass.ACCOUNT_FROZEN,
}

CAPTURES: Final[Mapping[str, Kind]] = {
    "COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "PARTIALLY_REFUNDED": Kind.PAYMENT_SUCCEEDED,
    "REFUNDED": Kind.PAYMENT_SUCCEEDED,
    "PENDING": Kind.PAYMENT_PENDING,
    "DECLINED": Kind.PAYMENT_FAILED,
    "DENIED": Kind.PAYMENT_FAILED,  # the first API's word
    "FAILED": Kind.PAYMENT_FAILED,
}
AUTHORIZATIONS: Final[Mapping[str, tuple[Kind, FailureClass | None]]] = {
    "CREATED": (Kind.PAYMENT_AUTHORIZED, None),
    "CAPTURED": (Kind.PAYMENT_AUTHORIZED, None),  # its captures tell the money
    "PARTIALLY_CAPTURED": (Kind.PAYMENT_AUTHORIZED, None),
    "PENDING": (Kind.PAYMENT_PENDING, None),
    "DENIED": (Kind.PAYMENT_FAILED, None),
    "VOIDED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "EXPIRED": (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
}
REFUNDS: Final[Mapping[str, Kind]] = {
    "COMPLETED": Kind.REFUND_SUCCEEDED,
    "PENDING": Kind.REFUND_PENDING,
    "FAILED": Kind.REFUND_FAILED,
    "CANCELLED": Kind.REFUND_FAILED,
}
OUTCOMES: Final[Mapping[str, Kind]] = {
    "RESOLVED_BUYER_FAVOUR": Kind.DISPUTE_LOST,
    "ACCEPTED": Kind.DISPUTE_LOST,  # by the merchant
    "RESOLVED_SELLER_FAVOUR": Kind.DISPUTE_WON,
    "RESOLVED_WITH_PAYOUT": Kind.DISPUTE_WON,  # PayPal pays the buyer itself
    "CANCELED_BY_BUYER": Kind.DISPUTE_WON,
    "DENIED": Kind.DISPUTE_WON,  # by PayPal
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one object says, before it is given its event's id, and its time where it has none of its own."""

    kind: Kind
    payment_ref: str | None
    order_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    amount: int | None = None
    total: int | None = None
    currency: str | None = None
    since: datetime | None = None
    failure: FailureClass | None = None
    failure_code: str | None = None


Reader = Callable[[object], Said]


def payment(kind: Kind, prefix: str = "", failure: FailureClass | None = None) -> Reader:
    """Reads a capture, an authorization or a sale as that."""

    def read(content: object) -> Said:
        amount, currency = money(content, "amount")
        why, code = failure_of(content) if kind is Kind.PAYMENT_FAILED else (failure, None)
        return Said(
            kind=kind,
            payment_ref=f"{prefix}{text(content, 'id')}",
            order_ref=order_ref_of(content),
            amount=amount,
            currency=currency,
            since=since(content),
            failure=why,
            failure_code=code,
        )

    return read


def refund(content: object) -> Said:
    """A refund by its status; the capture that it gives back stands nowhere but among its links."""
    refund_ref, captured = text(content, "id"), capture_above(content)
    if captured is None:
        raise BadPayload("the refund names no capture among its links")
    return _refund(content, refund_ref, captured, text(content, "status"))


def refund_and_total(content: object) -> Iterator[Said]:
    """A refund, and all that its capture gave back until then where a completed one tells that."""
    said, breakdown = refund(content), at(content, ["seller_payable_breakdown"])
    yield said
    if said.kind is Kind.REFUND_SUCCEEDED and at(breakdown, ["total_refunded_amount"]) is not None:
        total, currency = money(breakdown, "total_refunded_amount")
        yield msgspec.structs.replace(said, refund_ref=None, amount=None, total=total, currency=currency)


def sale_refund(content: object) -> Said:
    """One of the first API.  Money given back may be written with a minus."""
    sale, refund_ref = f"{SALE}{text(content, 'sale_id')}", f"{SALE}{text(content, 'id')}"
    return _refund(content, refund_ref, sale, text(content, "state").upper(), may_be_negative=True)


def _refund(content: object, refund_ref: str, payment_ref: str, status: str, *, may_be_negative: bool = False) -> Said:
    if status not in REFUNDS:
        raise BadPayload("status of the refund is none that is known")
    kind = REFUNDS[status]
    amount, currency = money(content, "amount", may_be_negative=may_be_negative)
    why, code = failure_of(content) if kind is Kind.REFUND_FAILED else (None, None)
    return Said(
        kind=kind,
        payment_ref=payment_ref,
        order_ref=order_ref_of(content),
        refund_ref=refund_ref,
        amount=amount,
        currency=currency,
        since=since(content),
        failure=why,
        failure_code=code,
    )


def reversal(content: object) -> Said:
    """PayPal took back what had succeeded: as good as a dispute that is lost, and never a failure of the payment."""
    own, captured = text(content, "id"), capture_above(content)
    amount, currency = money(content, "amount")
    return Said(
        kind=Kind.DISPUTE_LOST,
        payment_ref=captured or own,  # PayPal shows the capture itself, or a refund above it
        order_ref=order_ref_of(content),
        dispute_ref=f"{REVERSAL}{own}",
        amount=amount,
        currency=currency,
        since=since(content),
    )


def sale_reversal(content: object) -> Said:
    """One of the first API: the sale itself, or a refund that names it.  Money taken back is written with a minus."""
    own = text(content, "id")
    amount, currency = money(content, "amount", may_be_negative=True)
    return Said(
        kind=Kind.DISPUTE_LOST,
        payment_ref=f"{SALE}{text_or_none(content, 'sale_id') or own}",
        order_ref=order_ref_of(content),
        dispute_ref=f"{REVERSAL}{own}",
        amount=amount,
        currency=currency,
        since=since(content),
    )


def approved(content: object) -> Said:
    """The buyer consented; nothing is captured yet."""
    return order(content, Kind.PAYMENT_PENDING)


def order(content: object, kind: Kind, failure: FailureClass | None = None) -> Said:
    """An order of PayPal's as that.  Its amount is told where it is one; several units are several payees."""
    units_of = purchase_units(content)
    amount, currency = money(units_of[0], "amount") if len(units_of) == 1 else (None, None)
    return Said(
        kind=kind,
        payment_ref=f"{ORDER}{text(content, 'id')}",
        order_ref=_common_ref(units_of),
        amount=amount,
        currency=currency,
        since=since(content),
        failure=failure,
    )


def approval_reversed(content: object) -> Said:
    """Nobody captured in time, and the buyer has the money back."""
    return Said(
        kind=Kind.PAYMENT_CANCELLED,
        payment_ref=f"{ORDER}{text(content, 'order_id')}",
        order_ref=_common_ref(purchase_units(content)),
        failure=FailureClass.EXPIRED_UNPAID,
    )


def dispute(content: object) -> Said:
    """A dispute by its status; one whose outcome nobody knows stays open, for a person to see."""
    transactions = at(content, ["disputed_transactions"])
    one = transactions[0] if isinstance(transactions, list) and len(transactions) == 1 else None
    outcome = at(content, ["dispute_outcome"])
    is_over = text_or_none(content, "status") == "RESOLVED" and outcome is not None
    amount, currency = money(content, "dispute_amount")
    kind = OUTCOMES.get(text(outcome, "outcome_code"), Kind.DISPUTE_OPENED) if is_over else Kind.DISPUTE_OPENED
    return Said(
        kind=kind,
        payment_ref=text_or_none(one, "seller_transaction_id"),
        order_ref=order_ref_of(one),
        dispute_ref=text(content, "dispute_id"),
        amount=amount,
        currency=currency,
        since=since(content),
    )


def money(content: object, name: str, *, may_be_negative: bool = False) -> tuple[int, str]:
    """Decimal text and a currency, under the names of either API.  Forints come without decimals."""
    second = at(content, [name, "value"]) is not None
    written, currency = ("value", "currency_code") if second else ("total", "currency")
    amount, currency = text(content, name, written), text(content, name, currency)
    return units.from_major(amount.removeprefix("-") if may_be_negative else amount, currency), currency


def order_ref_of(content: object) -> str | None:
    """The merchant's own reference, under the names of either API and of disputes."""
    names = ("custom_id", "custom", "invoice_id", "invoice_number")
    return next((ref for name in names if (ref := text_or_none(content, name))), None)


def since(content: object) -> datetime | None:
    """When the object came to be as it is."""
    written = text_or_none(content, "update_time") or text_or_none(content, "create_time")
    return None if written is None else moment_from_rfc3339(written)


def failure_of(content: object) -> tuple[FailureClass, str | None]:
    """The card's bank says more than PayPal's reason, and both say more than nothing."""
    codes = (text_or_none(content, "processor_response", "response_code"), _reason(content))
    known = [code for code in codes if code is not None]
    code = next((it for it in known if it in FAILURES), next(iter(known), None))
    return FAILURES.get(code or "", FailureClass.UNKNOWN), code


def _reason(content: object) -> str | None:
    return text_or_none(content, "status_details", "reason") or text_or_none(content, "reason_code")


def purchase_units(content: object) -> list[object]:
    """One for each payee of an order."""
    found = at(content, ["purchase_units"])
    if not isinstance(found, list):
        raise BadPayload("purchase_units is no list")
    return found


def payees_of(content: object) -> set[str]:
    """The merchants' ids that a capture, an authorization, an order or a dispute names."""
    named = [(content, "payee")]
    for name, role in (("purchase_units", "payee"), ("disputed_transactions", "seller")):
        listed = at(content, [name])
        named += [(it, role) for it in listed] if isinstance(listed, list) else []
    return {ref for it, role in named if (ref := text_or_none(it, role, "merchant_id")) is not None}


def _common_ref(units_of: list[object]) -> str | None:
    refs = {order_ref_of(it) for it in units_of}
    return refs.pop() if len(refs) == 1 else None


def capture_above(content: object) -> str | None:
    """The capture that a link `up` leads to."""
    links = at(content, ["links"])
    for link in links if isinstance(links, list) else ():
        found = _CAPTURE_PATH.fullmatch(text_or_none(link, "href") or "")
        if found is not None and text_or_none(link, "rel") == "up":
            return found[1]
    return None
