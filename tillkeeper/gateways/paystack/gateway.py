"""Paystack: HMAC-SHA512 of the body with the API's secret key; transactions, refunds, disputes; what its API answers.

A refund is known by its number.  Its webhooks need not tell that, and what they tell instead the API does not: under
either name it would count twice, so that such a webhook only has the refunds of its transaction listed.

Checked against documents only, for no official package verifies its webhooks.
Sources: Paystack's pages "Webhooks", "Verify payments", "Refunds" and "Disputes"; its API reference.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Literal, Self, cast
from urllib.parse import quote

import msgspec
from pydantic import Field, model_validator

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, Secrets
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery, VerificationStep
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import (
    at,
    moment_from_rfc3339,
    reference_or_none,
    text,
    text_or_none,
    written_or_none,
)
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, NOT_FOUND, OK, check_status, status_error
from tillkeeper.gateways.kit.unknown_words import known_or_none
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified

SIGNATURE_HEADER: Final = "x-paystack-signature"
LIVE_BY_KEY_PREFIX: Final = {"sk_live_": True, "sk_test_": False}
DOMAINS: Final = {"live": True, "test": False}

# Where an order's reference stands in a transaction.
ORDER_REF_PATHS: Final = ("metadata.order_id", "reference")

# Paystack dates no word about a refund, and a late one must not undo the last.  So all stand at one instant, where
# their rank decides: pending, processed, failed.  It lies before Paystack's first payment, and after what a merchant
# registers of a refund beforehand.
UNDATED: Final = datetime(2015, 1, 1, tzinfo=UTC)

EVERY_REFUND: Final = "all"  # in the place of a refund's number, of which it is none
LISTED_MAX: Final = 100  # refunds of one transaction; the most that Paystack lists at once

_REFERENCE: Final = re.compile(r"[A-Za-z0-9.=_-]{1,100}", re.ASCII)  # what Paystack allows in a reference
_DOTS: Final = re.compile(r"\.+")
_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)
_CODE: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)
_NOT_FOUND_WORDS: Final = ("not_found", "not found")

TRANSACTION_STATUSES: Final = {
    "success": Kind.PAYMENT_SUCCEEDED,
    "failed": Kind.PAYMENT_FAILED,
    "abandoned": Kind.PAYMENT_CANCELLED,
    "ongoing": Kind.PAYMENT_PENDING,
    "pending": Kind.PAYMENT_PENDING,
    "processing": Kind.PAYMENT_PENDING,
    "queued": Kind.PAYMENT_PENDING,
    "reversed": Kind.PAYMENT_SUCCEEDED,  # it was taken, and went back as a whole: said besides
}

REFUND_STATUSES: Final = {
    "pending": Kind.REFUND_PENDING,
    "processing": Kind.REFUND_PENDING,
    "needs-attention": Kind.REFUND_PENDING,  # it waits for where to pay it to
    "processed": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
}

# A dispute that ended in a way not named here stays open, for people to look at.
RESOLUTIONS: Final = {
    "declined": Kind.DISPUTE_WON,
    "merchant-accepted": Kind.DISPUTE_LOST,
    "auto-accepted": Kind.DISPUTE_LOST,  # nobody answered in time
}

# `gateway_response` is free text: the first line whose words it holds, in any letter case, tells the class.
FAILURES: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("insufficient", FailureClass.INSUFFICIENT_FUNDS),
    ("not sufficient", FailureClass.INSUFFICIENT_FUNDS),
    ("limit", FailureClass.LIMIT_EXCEEDED),
    ("timeout", FailureClass.NETWORK_TIMEOUT),
    ("timed out", FailureClass.NETWORK_TIMEOUT),
    ("issuer or switch inoperative", FailureClass.NETWORK_TIMEOUT),
    ("pin", FailureClass.BANK_VERIFICATION_FAILED),
    ("otp", FailureClass.BANK_VERIFICATION_FAILED),
    ("authentication", FailureClass.BANK_VERIFICATION_FAILED),
    ("token not generated", FailureClass.BANK_VERIFICATION_FAILED),
    ("fraud", FailureClass.SUSPECTED_FRAUD),
    ("expired card", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("card expired", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("invalid card", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("no card record", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("restricted", FailureClass.ACCOUNT_FROZEN),
    ("lost card", FailureClass.ACCOUNT_FROZEN),
    ("stolen", FailureClass.ACCOUNT_FROZEN),
    ("hot card", FailureClass.ACCOUNT_FROZEN),
    ("inactive", FailureClass.ACCOUNT_FROZEN),
    ("not permitted", FailureClass.METHOD_UNAVAILABLE),
    ("not enabled", FailureClass.METHOD_UNAVAILABLE),
    ("cancel", FailureClass.USER_CANCELLED),
    ("system malfunction", FailureClass.GATEWAY_FAULT),
    ("unable to process", FailureClass.GATEWAY_FAULT),
)
FAILURE_CODE_CHARS_MAX: Final = 100


class PaystackSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "paystack"`."""

    gateway: Literal["paystack"]
    secret_keys: Secrets = Field(
        description="The API's secret key (sk_live_... or sk_test_...), which signs webhooks and asks Paystack.  The "
        "first is the one to ask with; name the old one behind it while it is replaced."
    )
    api_base: ApiBase = "https://api.paystack.co"
    order_ref_path: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Where your order reference stands in a transaction, names with dots between them.  None looks at "
        "metadata.order_id, then takes the transaction's own reference.",
    )

    @model_validator(mode="after")
    def _one_mode(self) -> Self:
        if len({key[:8] for key in self.secret_keys} & LIVE_BY_KEY_PREFIX.keys()) > 1:
            raise ValueError("live and test keys need an account each, or test money would pay live orders")
        return self


ABOUT: Final = About(
    title="Paystack",
    verifies="HMAC-SHA512 of the body, in hexadecimal, with the API's secret key; several keys at once",
    dedupes_by="the event's name with the number of its transaction, refund or dispute, for Paystack gives no id; a "
    "refund whose webhook tells no number by what the list of its transaction's refunds says",
    acknowledges="200 without a body",
    queries="transactions by their reference, which is also the order's where nothing else is set; refunds by their "
    "number, or listed by their transaction's reference.  That a `reversed` transaction went back as a whole is unsure",
    refunds_seen="that all went back; refunds that are known are asked about by their number or their transaction",
    checked="documents only; unsure are the francs (XOF, RWF), taken as told in hundredths, and whether refunds can be "
    "listed by a transaction's reference, for documents speak of its id: where not, there is a case and no refund",
    sources=("Paystack's pages on webhooks, verifying payments, refunds and disputes", "Paystack's API reference"),
)


class Paystack(Gateway):
    """One integration at Paystack, in live or in test mode."""

    name: ClassVar[str] = "paystack"
    settings: ClassVar[type[AccountModel]] = PaystackSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: PaystackSettings) -> None:
        self.account = account
        self.live = LIVE_BY_KEY_PREFIX.get(settings.secret_keys[0][:8])
        self._keys = HmacKeys("secret_keys", settings.secret_keys, digest="sha512")
        self._api_key = settings.secret_keys[0]
        self._api_base = settings.api_base
        self._by_order = settings.order_ref_path in {None, "reference"}
        paths = ORDER_REF_PATHS if settings.order_ref_path is None else (settings.order_ref_path,)
        self._order_ref_paths = [path.split(".") for path in paths]

    def key_labels(self) -> tuple[str, ...]:
        """One for each of the secret keys."""
        return self._keys.labels

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Any of the secret keys will do."""
        label = self._keys.label_in(request, SIGNATURE_HEADER, request.body)
        return Verified(key=label, content=request.body)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a name that EVENTS knows, none for others."""
        delivery = strictjson.loads(cast("bytes", verified.content))
        name = text(delivery, "event")
        read = EVENTS.get(name)
        if read is None:
            return ()
        data = at(delivery, ["data"])
        made = read(self, data)
        if made is None:
            return ()
        event = msgspec.structs.replace(made, event_id=f"{name}:{made.event_id}")
        if problem := problem_with(event):
            raise BadPayload(problem)
        return (event,)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The refunds of a transaction, where a webhook about one does not tell its number."""
        delivery = strictjson.loads(cast("bytes", verified.content))
        data = at(delivery, ["data"])
        if EVENTS.get(text(delivery, "event")) is not Paystack.refund or _number_or_none(data, "id") is not None:
            return ()
        return (Query(about="refund", payment_ref=text(data, "transaction_reference"), refund_ref=EVERY_REFUND),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The transaction that a delivery is about."""
        try:
            data = at(strictjson.loads_unsigned(request.body), ["data"])
            told = (at(data, [name]) for name in ("reference", "transaction_reference"))
            payment_ref = next((ref for it in told if (ref := reference_or_none(it))), None)
            order_ref = reference_or_none(self._order_ref(data))
        except BadPayload:
            return None
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """A transaction by its reference, or by its order's where that is the same; a refund by its number, or all."""
        if query.about == "refund" and query.refund_ref == EVERY_REFUND:
            path = f"/refund?transaction={_quoted(query.payment_ref)}&perPage={LISTED_MAX}"
        elif query.about == "refund":
            path = f"/refund/{_quoted(query.refund_ref)}"
        elif query.payment_ref is None and not self._by_order:
            raise CannotQuery("a payment is only found by its own reference where order_ref_path is set")
        else:
            path = f"/transaction/verify/{_quoted(query.payment_ref or query.order_ref)}"
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._api_key}"}
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the transaction or the refund says of itself."""
        data = _data_of(response)
        if data is None:
            return Answer(found=False)
        if query.about == "refund":
            refunds = _listed(data) if query.refund_ref == EVERY_REFUND else [data]
            told_of = [self._refund_answer(query, refund) for refund in refunds]
            # As undated as its webhooks, or none of those would ever count again.
            events = tuple(msgspec.structs.replace(queried(it), as_of=UNDATED) for it in told_of if it is not None)
            return Answer(found=bool(refunds), events=events)
        told = text(data, "reference") if query.payment_ref else self._order_ref(data)
        if told != (query.payment_ref or query.order_ref):
            raise BadPayload("the answer is about another transaction than the question")
        told_at = answered_at(response, now)
        return Answer(found=True, events=tuple(queried(event) for event in self._transaction_answer(data, told_at)))

    def transaction(self, data: object, told_at: datetime | None = None) -> PaymentEvent | None:
        """One transaction, by its status.  `told_at` is when an answer was given; a webhook tells its time itself."""
        kind = known_or_none(TRANSACTION_STATUSES, text(data, "status"), "transaction.status")
        self._check_mode(data)
        currency = text(data, "currency").upper()
        if kind is None or not units.is_currency(currency):
            return None
        failure, code = _why(kind, data)
        amount, fee = _subunits(at(data, ["amount"]), currency), _fee_on_top(data, currency)
        return PaymentEvent(
            event_id=_number(data, "id"),
            kind=kind,
            account=self.account,
            occurred_at=_paid_at(data) if kind is Kind.PAYMENT_SUCCEEDED or told_at is None else told_at,
            order_ref=self._order_ref(data),
            payment_ref=text(data, "reference"),
            amount=amount - fee,
            on_top=fee or None,
            currency=currency,
            failure=failure,
            failure_code=code,
            method=_method(data),
        )

    def refund(self, data: object) -> PaymentEvent | None:
        """One refund, by its status; None where its number is not told, and Paystack is asked."""
        kind = known_or_none(REFUND_STATUSES, text(data, "status"), "refund.status")
        self._check_mode(data)
        refund_ref = _number_or_none(data, "id")
        currency = text(data, "currency").upper()
        if kind is None or refund_ref is None or not units.is_currency(currency):
            return None
        return PaymentEvent(
            event_id=refund_ref,
            kind=kind,
            account=self.account,
            occurred_at=UNDATED,
            payment_ref=text_or_none(data, "transaction_reference"),
            refund_ref=refund_ref,
            amount=_subunits(at(data, ["amount"]), currency),
            currency=currency,
            failure=FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None,
        )

    def dispute(self, data: object) -> PaymentEvent | None:
        """One dispute: open until it is resolved."""
        self._check_mode(data)
        transaction = at(data, ["transaction"])
        number, kind = _number(data, "id"), Kind.DISPUTE_OPENED
        if text(data, "status") == "resolved":
            kind = RESOLUTIONS.get(text_or_none(data, "resolution") or "", kind)
        ended = () if kind is Kind.DISPUTE_OPENED else ("resolvedAt", "resolved_at", "updated_at", "updatedAt")
        amount = at(data, ["refund_amount"]) or at(transaction, ["amount"])
        currency = (text_or_none(data, "currency") or text(transaction, "currency")).upper()
        if not units.is_currency(currency):
            return None
        return PaymentEvent(
            event_id=number,
            kind=kind,
            account=self.account,
            occurred_at=_moment(data, *ended, "created_at", "createdAt"),
            order_ref=self._order_ref(transaction),
            payment_ref=text_or_none(transaction, "reference") or text_or_none(data, "transaction_reference"),
            dispute_ref=number,
            amount=None if amount is None else _subunits(amount, currency),
            currency=currency,
        )

    def _transaction_answer(self, data: object, told_at: datetime) -> Iterator[PaymentEvent]:
        event = self.transaction(data, told_at)
        if event is None:
            return
        yield event
        if text(data, "status") == "reversed":
            yield msgspec.structs.replace(
                event,
                kind=Kind.REFUND_SUCCEEDED,
                occurred_at=told_at,
                amount=None,
                total=event.amount,
                on_top=None,
                method=None,
            )

    def _refund_answer(self, query: Query, data: object) -> PaymentEvent | None:
        """One refund.  Of a list each must say itself whose it is, lest it be of all transactions."""
        event = self.refund(data)
        transaction = at(data, ["transaction"])  # the number alone, or the whole of it
        told = transaction if isinstance(transaction, dict) else None
        payment_ref = text_or_none(data, "transaction_reference") or text_or_none(told, "reference")
        told_ref: str | None = _number(data, "id")
        asked_ref = query.refund_ref
        if asked_ref == EVERY_REFUND:
            told_ref, asked_ref = payment_ref, query.payment_ref
        if told_ref != asked_ref:
            raise BadPayload("the answer is about another refund than the question")
        return event and msgspec.structs.replace(
            event,
            order_ref=query.order_ref or self._order_ref(told),
            payment_ref=payment_ref or query.payment_ref,
        )

    def _order_ref(self, transaction: object) -> str | None:
        for path in self._order_ref_paths:
            if ref := _text_below(transaction, path):
                return ref
        return None

    def _check_mode(self, data: object) -> None:
        domain = text_or_none(data, "domain")
        if self.live is not None and domain is not None and DOMAINS.get(domain) is not self.live:
            raise BadPayload(f"domain is {domain!r}, and the secret key of the other mode", VerificationStep.MODE)


# Every event that changes what we know; all others are answered with success and change nothing.
EVENTS: Final[Mapping[str, Callable[[Paystack, object], PaymentEvent | None]]] = {
    "charge.success": Paystack.transaction,
    "charge.failed": Paystack.transaction,
    "refund.pending": Paystack.refund,
    "refund.processing": Paystack.refund,
    "refund.needs-attention": Paystack.refund,
    "refund.processed": Paystack.refund,
    "refund.failed": Paystack.refund,
    "charge.dispute.create": Paystack.dispute,
    "charge.dispute.remind": Paystack.dispute,
    "charge.dispute.resolve": Paystack.dispute,
}


def _subunits(amount: object, currency: str) -> int:
    """Refunds tell amounts as digits in quotes, too."""
    if isinstance(amount, str) and _DIGITS.fullmatch(amount):
        amount = int(amount)
    return units.from_minor(amount, currency, units.PAYSTACK)


def _number_or_none(data: object, name: str) -> str | None:
    """A number of Paystack's as text, however it is written."""
    value = at(data, [name])
    return str(value) if type(value) is int else text_or_none(data, name)


def _number(data: object, name: str) -> str:
    value = _number_or_none(data, name)
    if value is None:
        raise BadPayload(f"{name} is missing")
    return value


def _text_below(content: object, path: list[str]) -> str | None:
    """The text or whole number at a path.  What a merchant did not set Paystack writes as "", 0 or null."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return written_or_none(content)


def _fee_on_top(data: object, currency: str) -> int:
    """The fee where the payer bears it: then the amount is what was requested, and the fee."""
    requested, fees = at(data, ["requested_amount"]), at(data, ["fees"])
    if type(requested) is not int or type(fees) is not int or requested <= 0 or fees <= 0:
        return 0
    return _subunits(fees, currency) if at(data, ["amount"]) == requested + fees else 0


def _paid_at(data: object) -> datetime:
    return _moment(data, "paid_at", "paidAt", "created_at", "createdAt")


def _moment(data: object, *names: str) -> datetime:
    """The first of these times that is told."""
    told = next((value for name in names if (value := text_or_none(data, name))), None)
    if told is None:
        raise BadPayload(f"none of {', '.join(names)} is told")
    return moment_from_rfc3339(told)


def _why(kind: Kind, data: object) -> tuple[FailureClass | None, str | None]:
    if kind not in {Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED}:
        return None, None
    said = text_or_none(data, "gateway_response")
    code = said[:FAILURE_CODE_CHARS_MAX] if said else None
    if kind is Kind.PAYMENT_CANCELLED:
        return FailureClass.EXPIRED_UNPAID, code
    lower = (said or "").lower()
    return next((failure for words, failure in FAILURES if words in lower), FailureClass.UNKNOWN), code


def _method(data: object) -> str | None:
    """How the payer pays.  No money hangs on it: what is odd is unknown."""
    return reference_or_none(at(data, ["channel"]))


def _listed(data: object) -> list[object]:
    if data and not isinstance(data, list):
        raise BadPayload("the answer lists no refunds")
    return cast("list[object]", data or [])


def _quoted(ref: str | None) -> str:
    if ref is None or not _REFERENCE.fullmatch(ref) or _DOTS.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that Paystack does not allow")
    return quote(ref, safe="")


def _data_of(response: Response) -> object:
    """What an answer holds; None where Paystack knows of no such thing."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND})
    content = strictjson.loads(response.body)
    if response.status == OK and at(content, ["status"]) is True:
        return at(content, ["data"]) or {}
    if response.status != OK and at(content, ["status"]) is False:
        # Which of the two statuses it is, and whether a code says it, hangs on Paystack's version.
        said = f"{text_or_none(content, 'code')} {text_or_none(content, 'message')}".lower()
        if any(words in said for words in _NOT_FOUND_WORDS):
            return None
    code = text_or_none(content, "code")
    raise status_error(response, f", code {code if code and _CODE.fullmatch(code) else None}")
