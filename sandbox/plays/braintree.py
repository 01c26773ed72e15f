"""Braintree as the sandbox plays it: base64 XML in a form, signed with HMAC-SHA1; few words, and an API to ask.

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

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.money import exponent
from tillkeeper.domain.order.status import Status

Xml: TypeAlias = "str | Mapping[str, Xml] | list[tuple[str, Xml]] | None"
Transaction = dict[str, Xml]

SETTLED: Final = "transaction_settled"
DECLINED: Final = "transaction_settlement_declined"
RETRIED: Final = "transaction_retried"
DISBURSED: Final = "transaction_disbursed"
REFUND_SETTLED: Final = "refund_settled"  # told as transaction_settled, of the refund's own transaction
REFUND_FAILED: Final = "refund_failed"

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=25, says=(Say(SETTLED),), status=Status.PAID, paid=ALL),
    Template(
        name="retried, then paid",
        weight=10,
        says=(Say(RETRIED), Say(SETTLED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid, as its disbursement shows", weight=6, says=(Say(DISBURSED),), status=Status.PAID, paid=ALL),
    Template(name="paid and disbursed", weight=8, says=(Say(SETTLED), Say(DISBURSED)), status=Status.PAID, paid=ALL),
    Template(name="on its way", weight=5, says=(Say(RETRIED),), status=Status.PROCESSING),
    Template(name="declined", weight=5, says=(Say(DECLINED),), status=Status.FAILED),
    Template(
        name="retried, then declined",
        weight=4,
        says=(Say(RETRIED), Say(DECLINED, after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(name="only subscribed", weight=2, says=(Say("subscription_charged_successfully"),), status=Status.UNPAID),
    Template(
        name="a part given back",
        weight=8,
        says=(Say(SETTLED), Say(REFUND_SETTLED, 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        says=(Say(SETTLED), Say(REFUND_SETTLED, 4, "1"), Say(REFUND_SETTLED, 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=6,
        says=(Say(SETTLED), Say(REFUND_SETTLED, ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=4,
        says=(Say(SETTLED), Say(REFUND_FAILED, 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it was settled",
        weight=2,
        says=(Say(SETTLED), Say(REFUND_SETTLED, 5, "1"), Say(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="disputed", weight=3, says=(Say(SETTLED), Say("dispute_opened")), status=Status.PAID, paid=ALL),
    Template(
        name="disputed and won",
        weight=2,
        says=(Say(SETTLED), Say("dispute_opened"), Say("dispute_won")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed and lost",
        weight=2,
        says=(Say(SETTLED), Say("dispute_opened"), Say("dispute_lost")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, says=(Say(SETTLED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency", weight=2, says=(Say(SETTLED),), status=Status.UNPAID, in_other_currency=True
    ),
    Template(
        name="paid where nobody expects it", weight=2, says=(Say(SETTLED),), status=Status.UNPAID, at_other_account=True
    ),
)


class BraintreeVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Braintree's, with one of the merchant's key pairs."""

    gateway: ClassVar[str] = "braintree"
    pays: ClassVar[str] = SETTLED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"bt_payload="

    account: str
    merchant_id: str
    public_key: str
    private_key: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notification each time, under the time at which it was made."""
        kind, subject = SUBJECTS[happening.word](story, happening)
        return self.sent(notification(kind, happening.at, subject))

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


def dispute(story: Story, happening: Happening) -> Transaction:
    """A chargeback of what was paid."""
    status = DISPUTE_STATUSES[happening.word]
    return {
        "id": dispute_ref_of(story),
        "amount": major(happening.amount, story.currency),
        "amount-disputed": major(happening.amount, story.currency),
        "amount-won": "0.00",
        "case-number": "CASE-12345",
        "currency-iso-code": story.currency,
        "kind": "chargeback",
        "reason": "fraud",
        "status": status,
        "status-history": [("status-history", {"status": status, "timestamp": zulu(happening.at)})],
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


def _of_sale(kind: str, status: str) -> Callable[[Story, Happening], Subject]:
    return lambda story, it: (kind, {"transaction": sale(story, it.amount, status, it.at)})


def _of_credit(kind: str, status: str) -> Callable[[Story, Happening], Subject]:
    return lambda story, it: (kind, {"transaction": credit(story, it.refund_ref, it.amount, status, it.at)})


def _of_dispute(story: Story, it: Happening) -> Subject:
    return it.word, {"dispute": dispute(story, it)}


def _of_disbursement(story: Story, it: Happening) -> Subject:
    """It names neither status nor currency."""
    paid_out = {"settlement-amount": major(it.amount, story.currency), "disbursement-date": f"{it.at:%Y-%m-%d}"}
    told: Transaction = {
        "id": story.payment_ref,
        "amount": major(it.amount, story.currency),
        "disbursement-details": paid_out,
    }
    return DISBURSED, {"transaction": told}


def _of_subscription(story: Story, it: Happening) -> Subject:
    charged = {"id": story.payment_ref, "status": "settled", "amount": major(it.amount, story.currency)}
    return it.word, {"subscription": {"id": "sub_1", "transactions": [("transaction", charged)]}}


SUBJECTS: Final[Mapping[str, Callable[[Story, Happening], Subject]]] = {
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

    def __init__(self, voice: BraintreeVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        pair = f"{self._voice.public_key}:{self._voice.private_key}"
        if put.headers.get("authorization") != f"Basic {b64encode(pair.encode()).decode()}":
            return _empty(401)
        match put.method, [unquote(part) for part in put.path.split("/")[1:]]:
            case "GET", ["merchants", self._voice.merchant_id, "transactions", ref]:
                return self._transaction(ref, knows_at)
            case _:
                return _empty(404)

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """The status tells it all."""
        return _empty(status)

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/xml; charset=utf-8", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)

    def _transaction(self, ref: str, knows_at: datetime) -> Told:
        books = self._ledger.payment(self.account, ref, knows_at)
        if books is not None:
            told, about = _sale_of(books), "payment"
        else:
            books = self._ledger.payment_of_refund(self.account, ref, knows_at)
            refund = None if books is None else books.refund(ref)
            if books is None or refund is None:
                return _empty(404, ref)
            told, about = _credit_of(books, refund), "refund"
        return Told(
            body=document("transaction", told),
            about=about,
            ref=ref,
            order_ref=books.story.order_ref,
            said=str(told["status"]),
        )


def _sale_of(books: Known) -> Transaction:
    amount = books.captured or books.story.amount
    told = sale(books.story, amount, SALE_STATUSES[books.state], books.paid_at or books.at)
    return told | {"refund-ids": [("item", it.refund_ref) for it in books.refunds]}


def _credit_of(books: Known, refund: KnownRefund) -> Transaction:
    return credit(books.story, refund.refund_ref, refund.amount, REFUND_STATUSES[refund.state], refund.at)


def _empty(status: int, ref: str = "") -> Told:
    return Told(status=status, body=b"", about="nothing", ref=ref, said=str(status))


def new_voice(account: str) -> BraintreeVoice:
    """A merchant with fresh keys."""
    return BraintreeVoice(
        account=account,
        merchant_id=secrets.token_hex(8),
        public_key=secrets.token_hex(8),
        private_key=secrets.token_hex(16),
    )


def _impostor(voice: Voice) -> Voice:
    return msgspec.structs.replace(cast("BraintreeVoice", voice), private_key=secrets.token_hex(16))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    ours = cast("BraintreeVoice", voice)
    return {"merchant_id": ours.merchant_id, "public_key": ours.public_key, "private_key": Kept(ours.private_key)}


def _renamed(story: Story, happening: Happening) -> str:
    """Kind, subject and time."""
    refs = {REFUND_SETTLED: happening.refund_ref, REFUND_FAILED: happening.refund_ref}
    refs |= dict.fromkeys(DISPUTE_STATUSES, dispute_ref_of(story))
    kind = SETTLED if happening.word == REFUND_SETTLED else happening.word
    return f"{kind}:{refs.get(happening.word, story.payment_ref)}:{zulu(happening.at)}"


PLAY: Final = Play(
    gateway="braintree",
    words=WORDS,
    silent=frozenset({"subscription_charged_successfully"}),
    fetched=frozenset({DISBURSED}),
    renamed=_renamed,
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "JPY"),
    payment_prefix="bt",
    new_voice=new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: BraintreeApi(cast("BraintreeVoice", voice), ledger),
)
