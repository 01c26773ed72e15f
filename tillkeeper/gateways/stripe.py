"""Stripe: HMAC over `<t>.<body>`, then one event a delivery.

Sources: the package `stripe` (`_webhook.py`, WebhookSignature) for the signature; Stripe's API reference for objects,
types and units ("Zero-decimal currencies", "Special cases"); its "Decline codes" page for failures.
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast

import msgspec
from pydantic import BaseModel, Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.money import BadMoney, exponent, minor
from tillkeeper.gateways import strictjson
from tillkeeper.gateways.account import STRICT, ApiBase, OptionalSecret, Secrets
from tillkeeper.gateways.base import BadPayload, BadSignature, Reply, Request, Verified
from tillkeeper.gateways.fields import at, integer, moment_from_unix, text, text_or_none
from tillkeeper.gateways.freshness import check_fresh

SIGNATURE_HEADER: Final = "stripe-signature"
SIGNATURE_HEADER_CHARS_MAX: Final = 1024  # a rolled secret makes two signatures of 67 characters


class StripeSettings(BaseModel):
    """`[accounts.NAME]` with `gateway = "stripe"`.  Secrets are whole, `whsec_` included."""

    model_config = STRICT
    gateway: Literal["stripe"]
    webhook_secrets: Secrets
    api_key: OptionalSecret = None
    api_base: ApiBase = "https://api.stripe.com"
    order_ref_path: Annotated[str, Field(min_length=1)] | None = None  # dotted; the defaults are ORDER_REF_PATHS


# What the merchant wrote down at the payment; client_reference_id is a checkout session's.
ORDER_REF_PATHS: Final = ("metadata.order_id", "client_reference_id")

LIVE_BY_KEY_PREFIX: Final = {"sk_live_": True, "rk_live_": True, "sk_test_": False, "rk_test_": False}

# The digits in which Stripe counts, where they are not those of ISO 4217.
DIGITS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}

REFUND_STATUSES: Final = {
    "pending": Kind.REFUND_PENDING,
    "requires_action": Kind.REFUND_PENDING,
    "succeeded": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
    "canceled": Kind.REFUND_FAILED,
}

DISPUTE_STATUSES: Final = {
    "warning_needs_response": Kind.DISPUTE_OPENED,
    "warning_under_review": Kind.DISPUTE_OPENED,
    "warning_closed": Kind.DISPUTE_WON,  # an inquiry that ended without a dispute
    "needs_response": Kind.DISPUTE_OPENED,
    "under_review": Kind.DISPUTE_OPENED,
    "prevented": Kind.DISPUTE_WON,  # settled before it became a dispute
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
}

# Decline codes, error codes and an outcome's reasons share one name space.
FAILURES: Final = {
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,
    "card_velocity_exceeded": FailureClass.LIMIT_EXCEEDED,
    "withdrawal_count_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "amount_too_large": FailureClass.LIMIT_EXCEEDED,
    "processing_error": FailureClass.GATEWAY_FAULT,
    "reenter_transaction": FailureClass.GATEWAY_FAULT,
    "issuer_not_available": FailureClass.NETWORK_TIMEOUT,
    "try_again_later": FailureClass.NETWORK_TIMEOUT,
    "authentication_required": FailureClass.BANK_VERIFICATION_FAILED,
    "authentication_not_handled": FailureClass.BANK_VERIFICATION_FAILED,
    "payment_intent_authentication_failure": FailureClass.BANK_VERIFICATION_FAILED,
    "incorrect_pin": FailureClass.BANK_VERIFICATION_FAILED,
    "pin_try_exceeded": FailureClass.BANK_VERIFICATION_FAILED,
    "expired_card": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_cvc": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_cvc": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_number": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_number": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_account": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_expiry_month": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_expiry_year": FailureClass.CARD_EXPIRED_OR_INVALID,
    "lost_card": FailureClass.ACCOUNT_FROZEN,
    "stolen_card": FailureClass.ACCOUNT_FROZEN,
    "pickup_card": FailureClass.ACCOUNT_FROZEN,
    "restricted_card": FailureClass.ACCOUNT_FROZEN,
    "fraudulent": FailureClass.SUSPECTED_FRAUD,
    "merchant_blacklist": FailureClass.SUSPECTED_FRAUD,
    "highest_risk_level": FailureClass.SUSPECTED_FRAUD,
    "card_not_supported": FailureClass.METHOD_UNAVAILABLE,
    "currency_not_supported": FailureClass.METHOD_UNAVAILABLE,
    "transaction_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "service_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "generic_decline": FailureClass.UNKNOWN,
    "do_not_honor": FailureClass.UNKNOWN,
    "call_issuer": FailureClass.UNKNOWN,
}

CANCELLATIONS: Final = {
    "requested_by_customer": FailureClass.USER_CANCELLED,
    "abandoned": FailureClass.EXPIRED_UNPAID,
    "automatic": FailureClass.EXPIRED_UNPAID,
    "fraudulent": FailureClass.SUSPECTED_FRAUD,
}

REFUND_FAILURES: Final = {
    "expired_or_canceled_card": FailureClass.CARD_EXPIRED_OR_INVALID,
    "lost_or_stolen_card": FailureClass.ACCOUNT_FROZEN,
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,  # the merchant's own balance
}


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What one object of Stripe's says, before it is given its event's id and time.  Amounts are in Stripe's units."""

    kind: Kind
    payment_ref: str | None
    amount: int | None = None
    total: int | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    failure: FailureClass | None = None
    failure_code: str | None = None


def _payment_intent(kind: Kind, amount_field: str = "amount") -> Callable[[object], Fact]:
    def read(intent: object) -> Fact:
        failure, code = _why(kind, intent)
        return Fact(
            kind=kind,
            payment_ref=text(intent, "id"),
            amount=integer(intent, amount_field),
            failure=failure,
            failure_code=code,
        )

    return read


def _why(kind: Kind, intent: object) -> tuple[FailureClass | None, str | None]:
    if kind is Kind.PAYMENT_FAILED:
        error = at(intent, ["last_payment_error"])
        return _classed(FAILURES, text_or_none(error, "decline_code"), text_or_none(error, "code"))
    if kind is Kind.PAYMENT_CANCELLED:
        return _classed(CANCELLATIONS, text_or_none(intent, "cancellation_reason"))
    return None, None


def _classed(table: Mapping[str, FailureClass], *words: str | None) -> tuple[FailureClass, str | None]:
    """The class of the first word that has one, and that word; else unknown, and the first word there is."""
    said = [word for word in words if word]
    for word in said:
        if word in table:
            return table[word], word
    return FailureClass.UNKNOWN, said[0] if said else None


def _session(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Fact]:
    def read(session: object) -> Fact:
        return Fact(
            kind=kind,
            payment_ref=text_or_none(session, "payment_intent") or text(session, "id"),
            amount=integer(session, "amount_total"),
            failure=failure,
        )

    return read


def _session_completed(session: object) -> Fact | None:
    """Completed is not paid: a bank debit or voucher is still to come."""
    if text_or_none(session, "mode") == "setup":
        return None  # it saved a card and asked for no money
    status = text(session, "payment_status")
    if status not in SESSION_STATUSES:
        raise BadPayload("payment_status of the session is none that is known")
    return _session(SESSION_STATUSES[status])(session)


SESSION_STATUSES: Final = {
    "paid": Kind.PAYMENT_SUCCEEDED,
    "no_payment_required": Kind.PAYMENT_SUCCEEDED,
    "unpaid": Kind.PAYMENT_PENDING,
}


def _payment_of(charge: object) -> str:
    return text_or_none(charge, "payment_intent") or text(charge, "id")


def _charge(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Fact]:
    def read(charge: object) -> Fact:
        return Fact(kind=kind, payment_ref=_payment_of(charge), amount=integer(charge, "amount"), failure=failure)

    return read


def _charge_succeeded(charge: object) -> Fact:
    """A charge that succeeded without being captured is an authorization."""
    captured = at(charge, ["captured"])
    if captured not in (None, True, False):
        raise BadPayload("captured of the charge is not true or false")
    return _charge(Kind.PAYMENT_AUTHORIZED if captured is False else Kind.PAYMENT_SUCCEEDED)(charge)


def _charge_captured(charge: object) -> Fact:
    return Fact(kind=Kind.PAYMENT_SUCCEEDED, payment_ref=_payment_of(charge), amount=integer(charge, "amount_captured"))


def _charge_failed(charge: object) -> Fact:
    failure, code = _classed(FAILURES, text_or_none(charge, "outcome", "reason"), text_or_none(charge, "failure_code"))
    return Fact(
        kind=Kind.PAYMENT_FAILED,
        payment_ref=_payment_of(charge),
        amount=integer(charge, "amount"),
        failure=failure,
        failure_code=code,
    )


def _charge_refunded(charge: object) -> Fact:
    """Carries what the charge has given back so far, not this refund."""
    return Fact(kind=Kind.REFUND_SUCCEEDED, payment_ref=_payment_of(charge), total=integer(charge, "amount_refunded"))


def _refund(refund: object) -> Fact:
    status = text(refund, "status")
    if status not in REFUND_STATUSES:
        raise BadPayload("status of the refund is none that is known")
    kind = REFUND_STATUSES[status]
    failure, code = None, None
    if kind is Kind.REFUND_FAILED:
        failure, code = _classed(REFUND_FAILURES, text_or_none(refund, "failure_reason"))
    return Fact(
        kind=kind,
        payment_ref=text_or_none(refund, "payment_intent") or text_or_none(refund, "charge"),
        refund_ref=text(refund, "id"),
        amount=integer(refund, "amount"),
        failure=failure,
        failure_code=code,
    )


def _dispute(dispute: object) -> Fact:
    status = text(dispute, "status")
    if status not in DISPUTE_STATUSES:
        raise BadPayload("status of the dispute is none that is known")
    return Fact(
        kind=DISPUTE_STATUSES[status],
        payment_ref=text_or_none(dispute, "payment_intent") or text_or_none(dispute, "charge"),
        dispute_ref=text(dispute, "id"),
        amount=integer(dispute, "amount"),
    )


# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Callable[[object], Fact | None]]] = {
    "payment_intent.succeeded": _payment_intent(Kind.PAYMENT_SUCCEEDED, "amount_received"),
    "payment_intent.processing": _payment_intent(Kind.PAYMENT_PENDING),
    "payment_intent.partially_funded": _payment_intent(Kind.PAYMENT_PENDING),
    "payment_intent.amount_capturable_updated": _payment_intent(Kind.PAYMENT_AUTHORIZED, "amount_capturable"),
    "payment_intent.payment_failed": _payment_intent(Kind.PAYMENT_FAILED),
    "payment_intent.canceled": _payment_intent(Kind.PAYMENT_CANCELLED),
    "checkout.session.completed": _session_completed,
    "checkout.session.async_payment_succeeded": _session(Kind.PAYMENT_SUCCEEDED),
    "checkout.session.async_payment_failed": _session(Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
    "checkout.session.expired": _session(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_captured,
    "charge.pending": _charge(Kind.PAYMENT_PENDING),
    "charge.failed": _charge_failed,
    "charge.expired": _charge(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "charge.refunded": _charge_refunded,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "charge.dispute.closed": _dispute,
}


class Stripe:
    """One endpoint of one Stripe account."""

    name: ClassVar[str] = "stripe"
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: StripeSettings) -> None:
        self.account = account
        self._keys = [(f"webhook_secrets[{at}]", secret.encode()) for at, secret in enumerate(settings.webhook_secrets)]
        self._live = LIVE_BY_KEY_PREFIX.get((settings.api_key or "")[:8])
        paths = ORDER_REF_PATHS if settings.order_ref_path is None else (settings.order_ref_path,)
        self._order_ref_paths = [path.split(".") for path in paths]

    def verify(self, request: Request, now: datetime) -> Verified:
        """Any `v1` signature by any of the secrets will do, for both exist twice while a secret is rolled."""
        timestamp, signatures = _signature_parts(request.header(SIGNATURE_HEADER))
        check_fresh(timestamp, now)
        signed = timestamp.encode() + b"." + request.body
        for label, secret in self._keys:
            expected = hmac.digest(secret, signed, "sha256").hex().encode()
            if any(hmac.compare_digest(expected, signature) for signature in signatures):
                return Verified(key=label, content=request.body)
        raise BadSignature("no v1 signature is by any of the webhook_secrets")

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a type that TYPES knows, none for others."""
        event = strictjson.loads(cast("bytes", verified.content))
        read = TYPES.get(text(event, "type"))
        if read is None:
            return ()
        self._check_mode(event)
        subject = at(event, ["data", "object"])
        fact = read(subject)
        return () if fact is None else (self._event(event, subject, fact),)

    def acknowledge(self) -> Reply:
        """Any 2xx will do."""
        return Reply(status=200)

    def refuse(self, status: int) -> Reply:
        """Stripe shows the answer in its dashboard."""
        return Reply(status=status, body=b"refused")

    def _check_mode(self, event: object) -> None:
        """Test money must not pay live orders: the kind of API key tells the mode of this account."""
        if self._live is not None and at(event, ["livemode"]) is not self._live:
            raise BadPayload(f"livemode is not {self._live}, as the api_key says it is")

    def _event(self, event: object, subject: object, fact: Fact) -> PaymentEvent:
        currency = text(subject, "currency").upper()
        made = PaymentEvent(
            event_id=text(event, "id"),
            kind=fact.kind,
            account=self.account,
            occurred_at=moment_from_unix(integer(event, "created")),
            order_ref=self._order_ref(subject),
            payment_ref=fact.payment_ref,
            refund_ref=fact.refund_ref,
            dispute_ref=fact.dispute_ref,
            amount=_minor(fact.amount, currency),
            total=_minor(fact.total, currency),
            currency=currency,
            failure=fact.failure,
            failure_code=fact.failure_code,
        )
        if problem := problem_with(made):
            raise BadPayload(problem)
        return made

    def _order_ref(self, subject: object) -> str | None:
        for path in self._order_ref_paths:
            if ref := text_or_none(subject, *path):
                return ref
        return None


def _signature_parts(header: str) -> tuple[str, list[bytes]]:
    """The time and the v1 signatures of `t=1,v1=a,v1=b,v0=c`; other schemes are none of ours."""
    if not header.isascii() or len(header) > SIGNATURE_HEADER_CHARS_MAX:
        raise BadSignature("the signature header is not ASCII or too long")
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1:
        raise BadSignature("the signature header does not tell one time")
    return times[0], [value.encode() for name, _, value in parts if name == "v1"]


def _minor(amount: int | None, currency: str) -> int | None:
    """Stripe's units as ISO 4217's."""
    if amount is None:
        return None
    try:
        shift = exponent(currency) - DIGITS.get(currency, exponent(currency))
        if shift < 0 and amount % 10**-shift:
            raise BadPayload(f"an amount in {currency} has a fraction that {currency} does not have")
        return minor(amount * 10**shift if shift >= 0 else amount // 10**-shift)
    except BadMoney as error:
        raise BadPayload(str(error)) from None
