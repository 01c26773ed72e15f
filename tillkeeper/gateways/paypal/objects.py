"""What PayPal's objects say: captures, authorizations, orders, refunds and disputes, and the sales of its first API.

Sources: PayPal's references of Orders v2, Payments v2, Payments v1 and Disputes v1; the grouping of its codes is ours.

A payment is known by its capture, for that is all that a refund names.  What comes before a capture is a payment of its
own, whose reference tells what it is: `order-ID` and `authorization-ID`.  Sales and refunds of the first API are
`sale-ID`, for they are asked about elsewhere.

An order, its authorizations and its captures are one attempt to pay.  So once the next of them stands for the money,
the one before has succeeded with nothing of its own: it is not on its way any more (`all_of`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word

ORDER: Final = "order-"  # PayPal's
AUTHORIZATION: Final = "authorization-"
SALE: Final = "sale-"
DISPUTE: Final = "dispute-"  # in queries alone

_CAPTURE_PATH: Final = re.compile(r"https?://[^/?#]+/v2/payments/captures/([A-Za-z0-9_]{1,32})", re.ASCII)
_FIRST_CAPTURE_PATH: Final = re.compile(r"https?://[^/?#]+/v1/payments/capture/([A-Za-z0-9_]{1,32})", re.ASCII)

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
    "CAPTURED": (Kind.PAYMENT_SUCCEEDED, None),  # its captures tell the money
    "PARTIALLY_CAPTURED": (Kind.PAYMENT_AUTHORIZED, None),  # the rest is still held
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
    order: str | None = None  # PayPal's, that it is part of
    authorization: str | None = None  # that it was captured of
    is_last: bool = False  # nothing more will be captured of that
    undoes: bool = False  # it may have succeeded before, which PayPal takes back without a further word


Reader = Callable[[object], Said | None]  # None where a word is unknown that decides
STANDS: Final = frozenset({Kind.PAYMENT_AUTHORIZED, Kind.PAYMENT_PENDING, Kind.PAYMENT_SUCCEEDED})


def payment(
    kind: Kind, prefix: str = "", failure: FailureClass | None = None, *, undoes: bool = False
) -> Callable[[object], Said]:
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
            order=_related(content, ORDER, "order_id"),
            authorization=_related(content, AUTHORIZATION, "authorization_id"),
            is_last=at(content, ["final_capture"]) is True,
            undoes=undoes,
        )

    return read


def all_of(said: Said) -> Iterator[tuple[str, Said]]:
    """It, and what it says besides, each by what the name of its event ends in."""
    yield "", said
    if said.undoes:
        yield "reversed", msgspec.structs.replace(said, kind=Kind.PAYMENT_REVERSED)
    if said.kind not in STANDS:
        return
    if said.order is not None:
        yield "order", finished(said, said.order)
    if said.authorization is not None and said.is_last and said.kind is Kind.PAYMENT_SUCCEEDED:
        yield "authorization", finished(said, said.authorization)


def finished(said: Said, payment_ref: str) -> Said:
    """What came before it is not on its way any more; the money is told by what came of it."""
    return Said(
        kind=Kind.PAYMENT_SUCCEEDED,
        payment_ref=payment_ref,
        order_ref=said.order_ref,
        amount=0,
        currency=said.currency,
        since=said.since,
    )


def _related(content: object, prefix: str, name: str) -> str | None:
    found = at(content, ["supplementary_data", "related_ids"])
    ref = reference_or_none(found.get(name)) if isinstance(found, dict) else None
    return None if ref is None else f"{prefix}{ref}"


def refund(content: object) -> Said | None:
    """A refund by its status, and its capture, if it names that: either API has its own places for it."""
    is_first = at(content, ["status"]) is None
    captured = capture_above(content) or text_or_none(content, "capture_id") or first_capture(content)
    status = text(content, "state").upper() if is_first else text(content, "status")
    return _refund(content, text(content, "id"), captured, status, may_be_negative=is_first)


def refund_and_total(content: object) -> Iterator[Said]:
    """A refund, and all that its capture gave back until then where a completed one tells that."""
    said, breakdown = refund(content), at(content, ["seller_payable_breakdown"])
    if said is None:
        return
    yield said
    if said.kind is Kind.REFUND_SUCCEEDED and at(breakdown, ["total_refunded_amount"]) is not None:
        total, currency = money(breakdown, "total_refunded_amount")
        yield msgspec.structs.replace(said, refund_ref=None, amount=None, total=total, currency=currency)


def sale_refund(content: object) -> Said | None:
    """One of the first API, and its sale or capture, if it names that.  What goes back may be written with a minus."""
    sale, refund_ref = text_or_none(content, "sale_id"), f"{SALE}{text(content, 'id')}"
    paid_by = text_or_none(content, "capture_id") if sale is None else f"{SALE}{sale}"
    return _refund(content, refund_ref, paid_by, text(content, "state").upper(), may_be_negative=True)


def _refund(
    content: object, refund_ref: str, payment_ref: str | None, status: str, *, may_be_negative: bool = False
) -> Said | None:
    if status not in REFUNDS:
        unknown_word("status of a refund", status)
        return None
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
    """PayPal took back what had succeeded, and shows the capture itself, or a refund above it."""
    captured = capture_above(content) or text_or_none(content, "capture_id") or first_capture(content)
    amount, currency = money(content, "amount", may_be_negative=True)
    return Said(
        kind=Kind.PAYMENT_REVERSED,
        payment_ref=captured or text(content, "id"),
        order_ref=order_ref_of(content),
        amount=amount,
        currency=currency,
        since=since(content),
    )


def sale_reversal(content: object) -> Said:
    """One of the first API: the sale itself, or a refund that names it.  Money taken back is written with a minus."""
    amount, currency = money(content, "amount", may_be_negative=True)
    return Said(
        kind=Kind.PAYMENT_REVERSED,
        payment_ref=f"{SALE}{text_or_none(content, 'sale_id') or text(content, 'id')}",
        order_ref=order_ref_of(content),
        amount=amount,
        currency=currency,
        since=since(content),
    )


def approved(content: object) -> Said:
    """The buyer consented; nothing is captured yet."""
    return order(content, Kind.PAYMENT_PENDING)


def completed(content: object) -> Said:
    """All that was to be done with the order is done: its captures and authorizations tell the money."""
    said = order(content, Kind.PAYMENT_SUCCEEDED)
    units_of = purchase_units(content)
    currency = said.currency or (money(units_of[0], "amount")[1] if units_of else None)
    return msgspec.structs.replace(said, amount=0, currency=currency)


def voided(content: object) -> Said:
    """The merchant called it off."""
    return order(content, Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED)


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
    amount, currency = (None, None) if at(content, ["dispute_amount"]) is None else money(content, "dispute_amount")
    kind = _outcome(text_or_none(outcome, "outcome_code") or "") if is_over else Kind.DISPUTE_OPENED
    return Said(
        kind=kind,
        payment_ref=text_or_none(one, "seller_transaction_id"),
        order_ref=order_ref_of(one),
        dispute_ref=text(content, "dispute_id"),
        amount=amount,
        currency=currency,
        since=since(content),
    )


def _outcome(code: str) -> Kind:
    if code not in OUTCOMES:
        unknown_word("outcome_code of a dispute", code)
    return OUTCOMES.get(code, Kind.DISPUTE_OPENED)


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
    return _linked(content, "up", _CAPTURE_PATH)


def first_capture(content: object) -> str | None:
    """The capture that a link of the first API leads to."""
    return _linked(content, "capture", _FIRST_CAPTURE_PATH)


def _linked(content: object, rel: str, path: re.Pattern[str]) -> str | None:
    links = at(content, ["links"])
    for link in links if isinstance(links, list) else ():
        found = path.fullmatch(text_or_none(link, "href") or "")
        if found is not None and text_or_none(link, "rel") == rel:
            return found[1]
    return None
