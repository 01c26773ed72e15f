"""Lists PayPal's codes and statuses with their meanings.

Sources: PayPal's references of Orders v2, Payments v2, Payments v1 and Disputes v1; the grouping of its codes is ours.
"""

from collections.abc import Mapping
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass

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
# What is not listed here was not paid for yet, or is not known: nothing changes by it.
ORDERS: Final[Mapping[str, tuple[Kind, FailureClass | None]]] = {
    "APPROVED": (Kind.PAYMENT_PENDING, None),
    "VOIDED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
}
ORDERS_UNPAID: Final = frozenset({"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"})
