"""A simulated Braintree: base64 XML in a form, signed with HMAC-SHA1; few words, and an API to ask.

In life an ordinary sale says nothing by itself; here each settlement does, as those of bank debits do.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode, encodebytes
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Final, TypeAlias, cast
from urllib.parse import unquote, urlencode
from xml.sax.saxutils import escape

import msgspec

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.money import exponent
from tillkeeper.domain.statuses import Status

Xml: TypeAlias = "str | Mapping[str, Xml] | list[tuple[str, Xml]] | None"
Transaction = dict[str, Xml]

SETTLED: Final = "transaction_settled"
DECLINED: Final = "transaction_settlement_declined"
RETRIED: Final = "transaction_retried"
DISBURSED: Final = "transaction_disbursed"
REFUND_SETTLED: Final = "refund_settled"  # told as transaction_settled, of the refund's own transaction
REFUND_FAILED: Final = "refund_failed"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "subscription_charged_successfully": None,
    RETRIED: PaymentState.PENDING,
    SETTLED: PaymentState.SUCCEEDED,
    DISBURSED: PaymentState.SUCCEEDED,
    DECLINED: PaymentState.FAILED,
    "refund_submitted": RefundState.PENDING,
    REFUND_SETTLED: RefundState.SUCCEEDED,
    REFUND_FAILED: RefundState.FAILED,
    "dispute_opened": None,
    "dispute_won": None,
    "dispute_lost": None,
}
SALE_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "authorized",
    PaymentState.PENDING: "submitted_for_settlement",
    PaymentState.FAILED: "settlement_declined",
    PaymentState.SUCCEEDED: "settled",
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "submitted_for_settlement",
    RefundState.SUCCEEDED: "settled",
    RefundState.FAILED: "processor_declined",
}
DISPUTE_STATUSES: Final = {"dispute_opened": "open", "dispute_won": "won", "dispute_lost": "lost"}

TEMPLATES: Final = (
    Template(name="paid", weight=25, events=(Event(SETTLED),), status=Status.PAID, paid=ALL),
    Template(
        name="retried, then paid",
        weight=10,
        events=(Event(RETRIED), Event(SETTLED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, as its disbursement shows", weight=6, events=(Event(DISBURSED),), status=Status.PAID, paid=ALL
    ),
    Template(
        name="paid and disbursed", weight=8, events=(Event(SETTLED), Event(DISBURSED)), status=Status.PAID, paid=ALL
    ),
    Template(name="on its way", weight=5, events=(Event(RETRIED),), status=Status.PROCESSING),
    Template(name="declined", weight=5, events=(Event(DECLINED),), status=Status.FAILED),
    Template(
        name="retried, then declined",
        weight=4,
        events=(Event(RETRIED), Event(DECLINED, after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="only subscribed", weight=2, events=(Event("subscription_charged_successfully"),), status=Status.UNPAID
    ),
    Template(
        name="a part given back",
        weight=8,
        events=(Event(SETTLED), Event(REFUND_SETTLED, 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(Event(SETTLED), Event(REFUND_SETTLED, 4, "1"), Event(REFUND_SETTLED, 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=6,
        events=(Event(SETTLED), Event(REFUND_SETTLED, ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=4,
        events=(Event(SETTLED), Event(REFUND_FAILED, 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it was settled",
        weight=2,
        events=(Event(SETTLED), Event(REFUND_SETTLED, 5, "1"), Event(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="disputed", weight=3, events=(Event(SETTLED), Event("dispute_opened")), status=Status.PAID, paid=ALL),
    Template(
        name="disputed and won",
        weight=2,
        events=(Event(SETTLED), Event("dispute_opened"), Event("dispute_won")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed and lost",
        weight=2,
        events=(Event(SETTLED), Event("dispute_opened"), Event("dispute_lost")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, events=(Event(SETTLED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event(SETTLED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(SETTLED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class BraintreeSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Braintree's, with one of the merchant's key pairs."""

    gateway: ClassVar[str] = "braintree"
    pays: ClassVar[str] = SETTLED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"bt_payload="

    account: str
    merchant_id: str
    public_key: str
    private_key: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notification each time, under the time at which it was made."""
        kind, subject = SUBJECTS[event.event_type](story, event)
        return self.sent(notification(kind, event.at, subject))

    def sent(self, body: bytes) -> Signed:
        """Any XML as a signed form."""
        return self.sent_payload(encodebytes(body).decode())

    def sent_payload(self, payload: str) -> Signed:
        """Any payload as a signed form."""
        pairs = f"{self.public_key}|{digest_of(self.private_key, payload)}"
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Braintree Webhooks",
        }, urlencode({"bt_payload": payload, "bt_signature": pairs}).encode()


def digest_of(private_key: str, signed: str) -> str:
    """HMAC-SHA1 under the SHA-1 of the private key."""
    key = hashlib.sha1(private_key.encode(), usedforsecurity=False).digest()
    return hmac.new(key, signed.encode(), "sha1").hexdigest()


def notification(kind: str, at: datetime, subject: Mapping[str, Xml]) -> bytes:
    """The notification around a subject."""
    content = f'<timestamp type="datetime">{zulu(at)}</timestamp>{_element("kind", kind)}{_element("subject", subject)}'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<notification>\n{content}\n</notification>\n'.encode()


def document(name: str, content: Xml) -> bytes:
    """An object as the API answers with it."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(name, content)}'.encode()


def _element(name: str, content: Xml) -> str:
    if content is None:
        return f'<{name} nil="true"/>'
    if isinstance(content, list):
        return f'<{name} type="array">{"".join(_element(*each) for each in content)}</{name}>'
    if isinstance(content, str):
        return f"<{name}>{escape(content)}</{name}>"
    return f"<{name}>\n{''.join(_element(*each) for each in content.items())}</{name}>\n"


def zulu(at: datetime) -> str:
    """2026-10-05T12:00:00Z."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def major(amount: int, currency: str) -> str:
    """129.00, and 12900 where the currency has no decimals."""
    return f"{Decimal(amount).scaleb(-exponent(currency)):f}"


def sale(story: Story, amount: int, status: str, at: datetime) -> Transaction:
    """The transaction of a payment."""
    step: Transaction = {"timestamp": zulu(at), "status": status, "amount": major(amount, story.currency), "user": None}
    return {
        "id": story.payment_ref,
        "status": status,
        "type": "sale",
        "currency-iso-code": story.currency,
        "amount": major(amount, story.currency),
        "merchant-account-id": "ogaotkivejpfayqfeaimuktty",
        "order-id": story.order_ref,
        "payment-instrument-type": "us_bank_account",
        "processor-response-code": "1000" if status in {"settled", "submitted_for_settlement"} else "2001",
        "gateway-rejection-reason": None,
        "refund-ids": [],
        "refunded-transaction-id": None,
        "status-history": [("status-event", step)],
        "tax-amount": "0",
    }


def credit(story: Story, refund_ref: str, amount: int, status: str, at: datetime) -> Transaction:
    """The transaction of a refund."""
    return sale(story, amount, status, at) | {
        "id": refund_ref,
        "type": "credit",
        "refunded-transaction-id": story.payment_ref,
    }


def dispute(story: Story, event: StoryEvent) -> Transaction:
    """A chargeback of what was paid."""
    status = DISPUTE_STATUSES[event.event_type]
    return {
        "id": dispute_ref_of(story),
        "amount": major(event.amount, story.currency),
        "amount-disputed": major(event.amount, story.currency),
        "amount-won": "0.00",
        "case-number": "CASE-12345",
        "currency-iso-code": story.currency,
        "kind": "chargeback",
        "reason": "fraud",
        "status": status,
        "status-history": [("status-history", {"status": status, "timestamp": zulu(event.at)})],
        "evidence": [],
        "transaction": {
            "id": story.payment_ref,
            "amount": major(story.amount, story.currency),
            "order-id": story.order_ref,
        },
    }


def dispute_ref_of(story: Story) -> str:
    """The one dispute of a story."""
    return f"dp_{bare(story.order_ref)}"


Subject = tuple[str, Mapping[str, Xml]]


def _of_sale(kind: str, status: str) -> Callable[[Story, StoryEvent], Subject]:
    return lambda story, it: (kind, {"transaction": sale(story, it.amount, status, it.at)})


def _of_credit(kind: str, status: str) -> Callable[[Story, StoryEvent], Subject]:
    return lambda story, it: (kind, {"transaction": credit(story, it.refund_ref, it.amount, status, it.at)})


def _of_dispute(story: Story, it: StoryEvent) -> Subject:
    return it.event_type, {"dispute": dispute(story, it)}


def _of_disbursement(story: Story, it: StoryEvent) -> Subject:
    """It names neither status nor currency."""
    paid_out = {"settlement-amount": major(it.amount, story.currency), "disbursement-date": f"{it.at:%Y-%m-%d}"}
    content: Transaction = {
        "id": story.payment_ref,
        "amount": major(it.amount, story.currency),
        "disbursement-details": paid_out,
    }
    return DISBURSED, {"transaction": content}


def _of_subscription(story: Story, it: StoryEvent) -> Subject:
    charged = {"id": story.payment_ref, "status": "settled", "amount": major(it.amount, story.currency)}
    return it.event_type, {"subscription": {"id": "sub_1", "transactions": [("transaction", charged)]}}


SUBJECTS: Final[Mapping[str, Callable[[Story, StoryEvent], Subject]]] = {
    "subscription_charged_successfully": _of_subscription,
    RETRIED: _of_sale(RETRIED, "submitted_for_settlement"),
    SETTLED: _of_sale(SETTLED, "settled"),
    DISBURSED: _of_disbursement,
    DECLINED: _of_sale(DECLINED, "settlement_declined"),
    REFUND_SETTLED: _of_credit(SETTLED, "settled"),
    REFUND_FAILED: _of_credit(REFUND_FAILED, "processor_declined"),
    "dispute_opened": _of_dispute,
    "dispute_won": _of_dispute,
    "dispute_lost": _of_dispute,
}


class BraintreeApi:
    """One merchant's transactions, refunds among them."""

    def __init__(self, signer: BraintreeSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        pair = f"{self._signer.public_key}:{self._signer.private_key}"
        if request.headers.get("authorization") != f"Basic {b64encode(pair.encode()).decode()}":
            return _empty(401)
        match request.method, [unquote(part) for part in request.path.split("/")[1:]]:
            case "GET", ["merchants", self._signer.merchant_id, "transactions", ref]:
                return self._transaction(ref, as_of)
            case _:
                return _empty(404)

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """The status tells it all."""
        return _empty(status)

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/xml; charset=utf-8", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)

    def _transaction(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment(self.account, ref, as_of)
        if record is not None:
            content, about = _sale_of(record), "payment"
        else:
            record = self._ledger.payment_of_refund(self.account, ref, as_of)
            refund = None if record is None else record.refund(ref)
            if record is None or refund is None:
                return _empty(404, ref)
            content, about = _credit_of(record, refund), "refund"
        return ApiResponse(
            body=document("transaction", content),
            about=about,
            ref=ref,
            order_ref=record.story.order_ref,
            summary=str(content["status"]),
        )


def _sale_of(record: PaymentRecord) -> Transaction:
    amount = record.captured or record.story.amount
    content = sale(record.story, amount, SALE_STATUSES[record.state], record.paid_at or record.at)
    return content | {"refund-ids": [("item", it.refund_ref) for it in record.refunds]}


def _credit_of(record: PaymentRecord, refund: RefundRecord) -> Transaction:
    return credit(record.story, refund.refund_ref, refund.amount, REFUND_STATUSES[refund.state], refund.at)


def _empty(status: int, ref: str = "") -> ApiResponse:
    return ApiResponse(status=status, body=b"", about="nothing", ref=ref, summary=str(status))


def new_signer(account: str) -> BraintreeSigner:
    """A merchant with fresh keys."""
    return BraintreeSigner(
        account=account,
        merchant_id=secrets.token_hex(8),
        public_key=secrets.token_hex(8),
        private_key=secrets.token_hex(16),
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("BraintreeSigner", signer), private_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("BraintreeSigner", signer)
    return {"merchant_id": ours.merchant_id, "public_key": ours.public_key, "private_key": Secret(ours.private_key)}


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Kind, subject and time."""
    refs = {REFUND_SETTLED: event.refund_ref, REFUND_FAILED: event.refund_ref}
    refs |= dict.fromkeys(DISPUTE_STATUSES, dispute_ref_of(story))
    kind = SETTLED if event.event_type == REFUND_SETTLED else event.event_type
    return f"{kind}:{refs.get(event.event_type, story.payment_ref)}:{zulu(event.at)}"


SIMULATOR: Final = Simulator(
    gateway="braintree",
    event_types=EVENT_TYPES,
    ignored=frozenset({"subscription_charged_successfully"}),
    fetched=frozenset({DISBURSED}),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "JPY"),
    payment_prefix="bt",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: BraintreeApi(cast("BraintreeSigner", signer), ledger),
)
