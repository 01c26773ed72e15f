"""Reads Braintree's XML: transactions, refunds (which are transactions too), disputes and local payments.

Sources: the package `braintree` (`transaction.py`, `dispute.py`, `webhook_testing_gateway.py`, `util/parser.py`) for
fields and statuses; Braintree's pages "Transaction Statuses", "Authorization Responses" and "Gateway Rejections".
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.kit.strictxml import Element
from tillkeeper.gateways.kit.unknown_words import known_or_none, unknown_word

METHOD_CHARS_MAX: Final = 64
SALE: Final = "sale"
CREDIT: Final = "credit"
_CODE: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)

# A sale counts as paid once it is settled: until then it may be declined or voided, and a success is for ever.
SALE_STATUSES: Final[Mapping[str, Kind]] = {
    "authorizing": Kind.PAYMENT_PENDING,
    "authorized": Kind.PAYMENT_AUTHORIZED,
    "submitted_for_settlement": Kind.PAYMENT_PENDING,
    "settlement_pending": Kind.PAYMENT_PENDING,
    "settlement_confirmed": Kind.PAYMENT_PENDING,
    "settling": Kind.PAYMENT_PENDING,
    "settled": Kind.PAYMENT_SUCCEEDED,
    "settlement_declined": Kind.PAYMENT_FAILED,
    "settlement_failed": Kind.PAYMENT_FAILED,
    "processor_declined": Kind.PAYMENT_FAILED,
    "gateway_rejected": Kind.PAYMENT_FAILED,
    "failed": Kind.PAYMENT_FAILED,
    "voided": Kind.PAYMENT_CANCELLED,
    "authorization_expired": Kind.PAYMENT_CANCELLED,
}
# Such a sale may have been settled before, which only its history tells.
DECLINED_AT_SETTLEMENT: Final = frozenset({"settlement_declined", "settlement_failed"})
REFUND_KINDS: Final[Mapping[Kind, Kind]] = {
    Kind.PAYMENT_PENDING: Kind.REFUND_PENDING,
    Kind.PAYMENT_AUTHORIZED: Kind.REFUND_PENDING,
    Kind.PAYMENT_SUCCEEDED: Kind.REFUND_SUCCEEDED,
    Kind.PAYMENT_FAILED: Kind.REFUND_FAILED,
    Kind.PAYMENT_CANCELLED: Kind.REFUND_FAILED,
}
DISPUTE_STATUSES: Final[Mapping[str, Kind]] = {
    "open": Kind.DISPUTE_OPENED,
    "under_review": Kind.DISPUTE_OPENED,
    "disputed": Kind.DISPUTE_OPENED,  # evidence is handed in
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
    "accepted": Kind.DISPUTE_LOST,
    "auto_accepted": Kind.DISPUTE_LOST,
    "expired": Kind.DISPUTE_LOST,  # nobody answered in time
}

# Where each kind of notification keeps its transaction; kinds that stand nowhere here change nothing.
TRANSACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "transaction_settled": ("transaction",),
    "transaction_settlement_declined": ("transaction",),
    "transaction_disbursed": ("transaction",),
    "transaction_retried": ("transaction",),
    "refund_failed": ("transaction",),
    "local_payment_completed": ("local-payment", "transaction"),
    "local_payment_funded": ("local-payment-funded", "transaction"),
}
MAY_BE_BEFORE: Final = "local_payment_completed"  # its transaction
# Payments that never became a transaction, by their own ids.
LOCAL_PAYMENT_ENDS: Final[Mapping[str, tuple[str, FailureClass]]] = {
    "local_payment_expired": ("local-payment-expired", FailureClass.EXPIRED_UNPAID),
    "local_payment_reversed": ("local-payment-reversed", FailureClass.UNKNOWN),  # given back: nobody took it in time
}
DISPUTES: Final = frozenset(
    {
        "dispute_opened",
        "dispute_under_review",
        "dispute_disputed",
        "dispute_won",
        "dispute_lost",
        "dispute_accepted",
        "dispute_auto_accepted",
        "dispute_expired",
    }
)
# Every other kind that Braintree's own package knows, which a test goes through.
IGNORED: Final = IgnoredTypes(
    field="kind",
    names=frozenset({"check", "disbursement", "disbursement_exception", "transaction_reviewed"}),
    families=(
        *("account_updater_", "connected_merchant_", "granted_", "grantor_", "oauth_", "partner_merchant_"),
        *("payment_method_", "recipient_", "subscription_"),
    ),
)


# processor-response-code, where a bank or processor declined.
DECLINES: Final[Mapping[str, FailureClass]] = {
    "2000": FailureClass.UNKNOWN,  # do not honor
    "2001": FailureClass.INSUFFICIENT_FUNDS,
    "2002": FailureClass.LIMIT_EXCEEDED,
    "2003": FailureClass.LIMIT_EXCEEDED,
    "2004": FailureClass.CARD_EXPIRED_OR_INVALID,
    "2005": FailureClass.CARD_EXPIRED_OR_INVALID,
    "2006": FailureClass.CARD_EXPIRED_OR_INVALID,
    "2007": FailureClass.ACCOUNT_FROZEN,
    "2010": FailureClass.CARD_EXPIRED_OR_INVALID,
    "2012": FailureClass.SUSPECTED_FRAUD,
    "2013": FailureClass.SUSPECTED_FRAUD,
    "2014": FailureClass.SUSPECTED_FRAUD,
    "2015": FailureClass.UNKNOWN,
    "2016": FailureClass.UNKNOWN,
    "2019": FailureClass.ACCOUNT_FROZEN,
    "2024": FailureClass.CARD_EXPIRED_OR_INVALID,
    "2046": FailureClass.UNKNOWN,
    "2047": FailureClass.SUSPECTED_FRAUD,
    "2053": FailureClass.SUSPECTED_FRAUD,
    "2057": FailureClass.ACCOUNT_FROZEN,
    "2099": FailureClass.BANK_VERIFICATION_FAILED,
    "3000": FailureClass.GATEWAY_FAULT,
}
# gateway-rejection-reason, where Braintree itself refused by the merchant's settings.
REJECTIONS: Final[Mapping[str, FailureClass]] = {
    "three_d_secure": FailureClass.BANK_VERIFICATION_FAILED,
    "fraud": FailureClass.SUSPECTED_FRAUD,
    "risk_threshold": FailureClass.SUSPECTED_FRAUD,
    "avs": FailureClass.CARD_EXPIRED_OR_INVALID,
    "cvv": FailureClass.CARD_EXPIRED_OR_INVALID,
    "avs_and_cvv": FailureClass.CARD_EXPIRED_OR_INVALID,
    "excessive_retry": FailureClass.LIMIT_EXCEEDED,
    "duplicate": FailureClass.UNKNOWN,
    "application_incomplete": FailureClass.METHOD_UNAVAILABLE,
    "token_issuance": FailureClass.GATEWAY_FAULT,
}
EXPIRED: Final = "authorization_expired"
NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})


def content_of(element: Element) -> object:
    """Turns XML into what JSON would have: an object of its elements, a list where it says so, else text or null.

    An element that repeats another word for word adds nothing, as in the package's own samples.
    """
    if element.attributes.get("nil") == "true":
        return None
    if element.attributes.get("type") == "array":
        return [content_of(child) for child in element.children]
    if not element.children:
        return element.text
    found: dict[str, object] = {}
    for child in element.children:
        value = content_of(child)
        if found.setdefault(child.name, value) != value:
            raise BadPayload("the XML repeats an element")
    return found


def is_complete(transaction: object) -> bool:
    """Tells whether a transaction has all that an event takes; local payments and disbursements may not."""
    return all(text_or_none(transaction, name) for name in ("status", "type", "currency-iso-code", "amount"))


def needs_query(transaction: object) -> bool:
    """Tells whether a transaction tells too little, or declines what may have been settled before."""
    return not is_complete(transaction) or text(transaction, "status") in DECLINED_AT_SETTLEMENT


def transaction_facts(transaction: object) -> Iterator[Fact]:
    """Yields the state of a transaction in a response, and the reversal of an earlier settlement."""
    fact = transaction_fact(transaction)
    occurred_at = since(transaction)
    if fact is None:
        return
    state = msgspec.structs.replace(fact, occurred_at=occurred_at)
    yield state
    if state.kind is Kind.PAYMENT_FAILED and _was_settled(transaction):
        yield msgspec.structs.replace(state, kind=Kind.PAYMENT_REVERSED, failure=None, failure_code=None)


def disputes_in(transaction: object) -> list[Fact]:
    """Returns the disputes of a transaction in a response."""
    disputes = at(transaction, ["disputes"])
    return [
        msgspec.structs.replace(fact, occurred_at=since(dispute))
        for dispute in (disputes if isinstance(disputes, list) else [])
        if (fact := dispute_fact(dispute, transaction)) is not None
    ]


def transaction_fact(transaction: object) -> Fact | None:
    """Reads a sale as a payment and a credit as a refund; one that refunds nothing belongs to no order."""
    status, sort = text(transaction, "status"), text(transaction, "type")
    kind = known_or_none(SALE_STATUSES, status, "transaction.status")
    if sort not in {SALE, CREDIT}:
        unknown_word("transaction.type", sort)
        return None
    currency = text(transaction, "currency-iso-code")
    if kind is None or not units.is_currency(currency):
        return None
    failure, code = _failure(transaction, status) if kind in NOT_PAID else (None, None)
    sale = Fact(
        kind=kind,
        payment_ref=text(transaction, "id"),
        order_ref=text_or_none(transaction, "order-id"),
        amount=units.from_major(text(transaction, "amount"), currency),
        currency=currency,
        failure=failure,
        failure_code=code,
        method=(text_or_none(transaction, "payment-instrument-type") or "")[:METHOD_CHARS_MAX] or None,
    )
    return sale if sort == SALE else _as_refund(sale, text_or_none(transaction, "refunded-transaction-id"))


def _as_refund(credit: Fact, refunded_ref: str | None) -> Fact | None:
    if refunded_ref is None:
        return None
    kind, refund_ref = REFUND_KINDS[credit.kind], credit.payment_ref
    return msgspec.structs.replace(credit, kind=kind, refund_ref=refund_ref, payment_ref=refunded_ref, method=None)


def _failure(transaction: object, status: str) -> tuple[FailureClass, str]:
    """Returns the class of a failure, and Braintree's own word for it."""
    if status == EXPIRED:
        return FailureClass.EXPIRED_UNPAID, status
    reason = text_or_none(transaction, "gateway-rejection-reason") or ""
    if status == "gateway_rejected":
        return REJECTIONS.get(reason, FailureClass.UNKNOWN), reason if _CODE.fullmatch(reason) else status
    code = text_or_none(transaction, "processor-response-code") or ""
    return DECLINES.get(code, FailureClass.UNKNOWN), code if code in DECLINES else status


def is_refund(transaction: object) -> bool:
    """Tells whether a transaction gives another one back."""
    return text_or_none(transaction, "refunded-transaction-id") is not None and text(transaction, "type") != SALE


def _was_settled(transaction: object) -> bool:
    return any(text_or_none(step, "status") == "settled" for step in _history(transaction))


def dispute_fact(dispute: object, transaction: object = None) -> Fact | None:
    """Reads one dispute by its status.

    `transaction` is the one that it stands in, where the dispute does not hold its own.
    """
    kind = known_or_none(DISPUTE_STATUSES, text(dispute, "status"), "dispute.status")
    currency = text(dispute, "currency-iso-code")
    if kind is None or not units.is_currency(currency):
        return None
    disputed = text_or_none(dispute, "amount-disputed") or text(dispute, "amount")
    paid = transaction if transaction is not None else at(dispute, ["transaction"])
    return Fact(
        kind=kind,
        payment_ref=text(paid, "id"),
        order_ref=text_or_none(paid, "order-id"),
        dispute_ref=text(dispute, "id"),
        amount=units.from_major(disputed, currency),
        currency=currency,
    )


def local_payment_fact(payment: object, failure: FailureClass) -> Fact:
    """Reads a local payment that ended without a transaction; it names no order."""
    return Fact(
        kind=Kind.PAYMENT_CANCELLED,
        payment_ref=text(payment, "payment-id"),
        failure=failure,
        failure_code="expired" if failure is FailureClass.EXPIRED_UNPAID else "reversed",
    )


def since(subject: object) -> datetime | None:
    """Returns since when a transaction or a dispute has its status, where its history tells."""
    status = text(subject, "status")
    for step in reversed(_history(subject)):
        if text_or_none(step, "status") == status:
            return moment_from_rfc3339(text(step, "timestamp"))
    return None


def _history(subject: object) -> list[object]:
    history = at(subject, ["status-history"])
    return history if isinstance(history, list) else []
