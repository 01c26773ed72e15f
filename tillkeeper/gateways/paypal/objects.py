"""Reads what PayPal's objects say: captures, authorizations, orders, refunds and disputes, and the sales of its first
API.

Sources: PayPal's references of Orders v2, Payments v2, Payments v1 and Disputes v1.

A payment is known by its capture, for that is all that a refund names.  What comes before a capture is a payment of its
own, whose reference tells what it is: `order-ID` and `authorization-ID`.  Sales and refunds of the first API are
`sale-ID`, for they are asked about elsewhere.

An order, its authorizations and its captures are one attempt to pay.  So once the next of them stands for the money,
the one before has succeeded with nothing of its own: it is not on its way any more (`with_attempt`).
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.paypal.codes import FAILURES, OUTCOMES, REFUNDS

ORDER: Final = "order-"  # PayPal's
AUTHORIZATION: Final = "authorization-"
SALE: Final = "sale-"
DISPUTE: Final = "dispute-"  # in queries alone

# What the ids of further events of one delivery end in.
REVERSED_PART: Final = "reversed"
ORDER_PART: Final = "order"
AUTHORIZATION_PART: Final = "authorization"
SUCCESSES: Final = frozenset({ORDER_PART, AUTHORIZATION_PART})  # of others that a payment stands for

STANDS: Final = frozenset({Kind.PAYMENT_AUTHORIZED, Kind.PAYMENT_PENDING, Kind.PAYMENT_SUCCEEDED})

_CAPTURE_PATH: Final = re.compile(r"https?://[^/?#]+/v2/payments/captures/([A-Za-z0-9_]{1,32})", re.ASCII)
_FIRST_CAPTURE_PATH: Final = re.compile(r"https?://[^/?#]+/v1/payments/capture/([A-Za-z0-9_]{1,32})", re.ASCII)


def payment_fact(content: object, kind: Kind, prefix: str = "", failure: FailureClass | None = None) -> Fact:
    """Returns a capture, an authorization or a sale as that."""
    amount, currency = money(content, "amount")
    code = None
    if kind is Kind.PAYMENT_FAILED:
        failure, code = failure_of(content)
    return Fact(
        kind=kind,
        payment_ref=f"{prefix}{text(content, 'id')}",
        order_ref=order_ref_of(content),
        amount=amount,
        currency=currency,
        occurred_at=changed_at(content),
        failure=failure,
        failure_code=code,
    )


def with_attempt(fact: Fact, content: object, *, undoes: bool = False) -> Iterator[Fact]:
    """Yields the fact of a payment, and what it says of the attempt's other objects.

    `undoes` is for a payment that may have succeeded before, which PayPal takes back without a further word.
    """
    order, authorization = related_order(content), related_authorization(content)
    yield fact
    if undoes:
        yield msgspec.structs.replace(fact, kind=Kind.PAYMENT_REVERSED, part=REVERSED_PART)
    if fact.kind not in STANDS:
        return
    if order is not None:
        yield finished(fact, order, ORDER_PART)
    if authorization is not None and fact.kind is Kind.PAYMENT_SUCCEEDED and is_final_capture(content):
        yield finished(fact, authorization, AUTHORIZATION_PART)


def finished(fact: Fact, payment_ref: str, part: str = "") -> Fact:
    """What came before the payment is not on its way any more, and has no money of its own."""
    return Fact(
        kind=Kind.PAYMENT_SUCCEEDED,
        payment_ref=payment_ref,
        order_ref=fact.order_ref,
        amount=0,
        currency=fact.currency,
        occurred_at=fact.occurred_at,
        part=part,
    )


def related_order(content: object) -> str | None:
    """PayPal's order that a payment is part of."""
    return _related(content, ORDER, "order_id")


def related_authorization(content: object) -> str | None:
    """Returns the authorization that a capture was made of."""
    return _related(content, AUTHORIZATION, "authorization_id")


def is_final_capture(content: object) -> bool:
    """Returns whether nothing more will be captured of its authorization."""
    return at(content, ["final_capture"]) is True


def _related(content: object, prefix: str, name: str) -> str | None:
    found = at(content, ["supplementary_data", "related_ids"])
    ref = reference_or_none(found.get(name)) if isinstance(found, dict) else None
    return None if ref is None else f"{prefix}{ref}"


def refund_fact(content: object) -> Fact | None:
    """Returns a refund by its status, and its capture, if it names that: either API has its own places for it."""
    is_first = at(content, ["status"]) is None
    status = text(content, "state").upper() if is_first else text(content, "status")
    return _refund_fact(content, text(content, "id"), _capture_of(content), status, may_be_negative=is_first)


def refund_facts(content: object) -> Iterator[Fact]:
    """Yields a refund, and all that its capture gave back until then where a completed one tells that."""
    fact, breakdown = refund_fact(content), at(content, ["seller_payable_breakdown"])
    if fact is None:
        return
    yield fact
    if fact.kind is Kind.REFUND_SUCCEEDED and at(breakdown, ["total_refunded_amount"]) is not None:
        total, currency = money(breakdown, "total_refunded_amount")
        yield msgspec.structs.replace(fact, refund_ref=None, amount=None, total=total, currency=currency)


def sale_refund_fact(content: object) -> Fact | None:
    """Returns a refund of the first API, and its sale or capture, if it names that.

    What goes back may be written with a minus.
    """
    sale, refund_ref = text_or_none(content, "sale_id"), f"{SALE}{text(content, 'id')}"
    paid_by = text_or_none(content, "capture_id") if sale is None else f"{SALE}{sale}"
    return _refund_fact(content, refund_ref, paid_by, text(content, "state").upper(), may_be_negative=True)


def _refund_fact(
    content: object, refund_ref: str, payment_ref: str | None, status: str, *, may_be_negative: bool
) -> Fact | None:
    if status not in REFUNDS:
        unknown_word("status of a refund", status)
        return None
    kind = REFUNDS[status]
    amount, currency = money(content, "amount", may_be_negative=may_be_negative)
    failure, code = failure_of(content) if kind is Kind.REFUND_FAILED else (None, None)
    return Fact(
        kind=kind,
        payment_ref=payment_ref,
        order_ref=order_ref_of(content),
        refund_ref=refund_ref,
        amount=amount,
        currency=currency,
        occurred_at=changed_at(content),
        failure=failure,
        failure_code=code,
    )


def capture_reversal(content: object) -> Fact:
    """PayPal took back what had succeeded, and shows the capture itself, or a refund above it."""
    return _reversal(content, _capture_of(content) or text(content, "id"))


def sale_reversal(content: object) -> Fact:
    """PayPal took back a sale of the first API, and shows the sale itself, or a refund that names it."""
    return _reversal(content, f"{SALE}{text_or_none(content, 'sale_id') or text(content, 'id')}")


def _reversal(content: object, payment_ref: str) -> Fact:
    """Money taken back may be written with a minus."""
    amount, currency = money(content, "amount", may_be_negative=True)
    return Fact(
        kind=Kind.PAYMENT_REVERSED,
        payment_ref=payment_ref,
        order_ref=order_ref_of(content),
        amount=amount,
        currency=currency,
        occurred_at=changed_at(content),
    )


def approved_order(content: object) -> Fact:
    """The buyer consented; nothing is captured yet."""
    return order_fact(content, Kind.PAYMENT_PENDING)


def completed_order(content: object) -> Fact:
    """All that was to be done with the order is done: its captures and authorizations tell the money."""
    fact = order_fact(content, Kind.PAYMENT_SUCCEEDED)
    payees = purchase_units(content)
    currency = fact.currency or (money(payees[0], "amount")[1] if payees else None)
    return msgspec.structs.replace(fact, amount=0, currency=currency)


def voided_order(content: object) -> Fact:
    """The merchant called the order off."""
    return order_fact(content, Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED)


def order_fact(content: object, kind: Kind, failure: FailureClass | None = None) -> Fact:
    """Returns an order of PayPal's as that.  It has an amount where it has one unit; several units are several
    payees."""
    payees = purchase_units(content)
    amount, currency = money(payees[0], "amount") if len(payees) == 1 else (None, None)
    return Fact(
        kind=kind,
        payment_ref=f"{ORDER}{text(content, 'id')}",
        order_ref=_common_order_ref(payees),
        amount=amount,
        currency=currency,
        occurred_at=changed_at(content),
        failure=failure,
    )


def reversed_approval(content: object) -> Fact:
    """Nobody captured in time, and the buyer has the money back."""
    return Fact(
        kind=Kind.PAYMENT_CANCELLED,
        payment_ref=f"{ORDER}{text(content, 'order_id')}",
        order_ref=_common_order_ref(purchase_units(content)),
        failure=FailureClass.EXPIRED_UNPAID,
    )


def dispute_fact(content: object) -> Fact:
    """Returns a dispute by its status; one whose outcome nobody knows stays open, for a person to see."""
    transactions = at(content, ["disputed_transactions"])
    transaction = transactions[0] if isinstance(transactions, list) and len(transactions) == 1 else None
    amount, currency = (None, None) if at(content, ["dispute_amount"]) is None else money(content, "dispute_amount")
    return Fact(
        kind=_dispute_kind(content),
        payment_ref=text_or_none(transaction, "seller_transaction_id"),
        order_ref=order_ref_of(transaction),
        dispute_ref=text(content, "dispute_id"),
        amount=amount,
        currency=currency,
        occurred_at=changed_at(content),
    )


def _dispute_kind(content: object) -> Kind:
    outcome = at(content, ["dispute_outcome"])
    if text_or_none(content, "status") != "RESOLVED" or outcome is None:
        return Kind.DISPUTE_OPENED
    code = text_or_none(outcome, "outcome_code") or ""
    if code not in OUTCOMES:
        unknown_word("outcome_code of a dispute", code)
    return OUTCOMES.get(code, Kind.DISPUTE_OPENED)


def money(content: object, name: str, *, may_be_negative: bool = False) -> tuple[int, str]:
    """Decimal text and a currency, under the names of either API.  Forints come without decimals."""
    is_second = at(content, [name, "value"]) is not None
    value_field, currency_field = ("value", "currency_code") if is_second else ("total", "currency")
    amount, currency = text(content, name, value_field), text(content, name, currency_field)
    return units.from_major(amount.removeprefix("-") if may_be_negative else amount, currency), currency


def order_ref_of(content: object) -> str | None:
    """Returns the merchant's own reference, under the names of either API and of disputes."""
    names = ("custom_id", "custom", "invoice_id", "invoice_number")
    return next((ref for name in names if (ref := text_or_none(content, name))), None)


def changed_at(content: object) -> datetime | None:
    """Returns when the object came to be as it is."""
    written = text_or_none(content, "update_time") or text_or_none(content, "create_time")
    return None if written is None else moment_from_rfc3339(written)


def failure_of(content: object) -> tuple[FailureClass, str | None]:
    """Returns the class of the failure and its code: the card's bank says more than PayPal's reason."""
    reason = text_or_none(content, "status_details", "reason") or text_or_none(content, "reason_code")
    codes = [text_or_none(content, "processor_response", "response_code"), reason]
    codes = [code for code in codes if code is not None]
    code = next((code for code in codes if code in FAILURES), next(iter(codes), None))
    return FAILURES.get(code or "", FailureClass.UNKNOWN), code


def purchase_units(content: object) -> list[object]:
    """Returns the units of an order, one for each payee."""
    found = at(content, ["purchase_units"])
    if not isinstance(found, list):
        raise BadPayload("purchase_units is no list")
    return found


def payees_of(content: object) -> set[str]:
    """Returns the merchants' ids that a capture, an authorization, an order or a dispute names."""
    roles = [(content, "payee")]
    for name, role in (("purchase_units", "payee"), ("disputed_transactions", "seller")):
        found = at(content, [name])
        roles += [(part, role) for part in found] if isinstance(found, list) else []
    return {ref for part, role in roles if (ref := text_or_none(part, role, "merchant_id")) is not None}


def _common_order_ref(payees: list[object]) -> str | None:
    refs = {order_ref_of(unit) for unit in payees}
    return refs.pop() if len(refs) == 1 else None


def _capture_of(content: object) -> str | None:
    """Returns the capture that a refund or a reversal is of: a link `up` leads to it, a field, or a link of the first
    API."""
    return (
        _linked(content, "up", _CAPTURE_PATH)
        or text_or_none(content, "capture_id")
        or _linked(content, "capture", _FIRST_CAPTURE_PATH)
    )


def _linked(content: object, rel: str, path: re.Pattern[str]) -> str | None:
    links = at(content, ["links"])
    for link in links if isinstance(links, list) else ():
        found = path.fullmatch(text_or_none(link, "href") or "")
        if found is not None and text_or_none(link, "rel") == rel:
            return found[1]
    return None
