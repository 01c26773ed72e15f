"""Why payments fail: thirteen classes that every gateway's codes are mapped to."""

from enum import StrEnum


class FailureClass(StrEnum):
    """The classes of `docs/failures.md`; each has its own advice to payer and staff."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"
    NETWORK_TIMEOUT = "network_timeout"
    BANK_VERIFICATION_FAILED = "bank_verification_failed"
    CARD_EXPIRED_OR_INVALID = "card_expired_or_invalid"
    ACCOUNT_FROZEN = "account_frozen"
    METHOD_UNAVAILABLE = "method_unavailable"
    USER_CANCELLED = "user_cancelled"
    EXPIRED_UNPAID = "expired_unpaid"
    COUPON_CONFLICT = "coupon_conflict"
    SUSPECTED_FRAUD = "suspected_fraud"
    GATEWAY_FAULT = "gateway_fault"
    UNKNOWN = "unknown"
