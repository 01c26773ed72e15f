"""A simulated Adyen: standard webhooks in JSON of an account that captures by itself, one item each.

Its own words are event codes; those that come with success "false" are told as `REFUND false`.
"""

import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

OF_THE_PAYMENT: Final = frozenset({"AUTHORISATION", "PENDING", "OFFER_CLOSED"})  # all others refer to it
OF_A_REFUND: Final = frozenset({"REFUND", "REFUND_FAILED", "REFUNDED_REVERSED"})
REASONS: Final = {"AUTHORISATION false": "Not enough balance", "REFUND false": "Insufficient balance on payment"}


class AdyenSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Adyen's, with a merchant account's HMAC key."""

    gateway: ClassVar[str] = "adyen"
    pays: ClassVar[str] = "AUTHORISATION"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"value":'

    account: str
    hmac_key: str
    merchant_account: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same delivery each time; nothing counts repetitions."""
        code, success = _code_of(event)
        more: Json = {} if code in OF_THE_PAYMENT else {"originalReference": story.payment_ref}
        item = adyen_item(
            code,
            _psp_ref(story, event),
            event.amount,
            story.currency,
            story.order_ref,
            at=event.at,
            success=success,
            merchant_account=self.merchant_account,
            reason=REASONS.get(event.event_type, ""),
            **more,
        )
        return adyen_delivery([adyen_signed(self.hmac_key, item)])


def adyen_item(
    code: str, psp_ref: str, value: int, currency: str, order_ref: str, *, at: datetime, success: str, **more: Any
) -> Json:
    """An item about a card payment, not signed yet; `more` are further fields, or others than these."""
    return {
        "amount": {"currency": currency, "value": value},
        "eventCode": code,
        "eventDate": at.isoformat(timespec="seconds"),
        "merchantAccountCode": "TillECOM",
        "merchantReference": order_ref,
        "paymentMethod": "visa",
        "pspReference": psp_ref,
        "reason": "",
        "success": success,
    } | {{"merchant_account": "merchantAccountCode"}.get(name, name): value for name, value in more.items()}


def adyen_signed(key: str, item: Json) -> Json:
    """The item with its signature, last in what else it has of additionalData."""
    amount = item["amount"]
    fields = [
        item["pspReference"],
        item.get("originalReference") or "",
        item["merchantAccountCode"],
        item["merchantReference"],
        str(amount["value"]),
        amount["currency"],
        item["eventCode"],
        item["success"],
    ]
    digest = hmac.digest(bytes.fromhex(key), ":".join(fields).encode(), "sha256")
    return item | {"additionalData": item.get("additionalData", {}) | {"hmacSignature": b64encode(digest).decode()}}


def adyen_delivery(items: Sequence[Json], live: str = "false") -> Signed:
    """The body around items, and the headers it comes with."""
    body = {"live": live, "notificationItems": [{"NotificationRequestItem": item} for item in items]}
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Adyen HttpClient 1.0"}
    return headers, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _code_of(event: StoryEvent) -> tuple[str, str]:
    code, _, success = event.event_type.partition(" ")
    return code, success or "true"


def _psp_ref(story: Story, event: StoryEvent) -> str:
    """Refunds have one for all that becomes of them, and so have disputes."""
    code, _ = _code_of(event)
    if code in OF_THE_PAYMENT:
        return story.payment_ref
    if code in OF_A_REFUND:
        return event.refund_ref
    return f"{'D' if 'CHARGEBACK' in code else 'M'}{bare(story.order_ref)}"


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Adyen's items have no name: they are told apart by reference, code and outcome."""
    return ":".join((_psp_ref(story, event), *_code_of(event)))


PAID: Final = Event("AUTHORISATION")

TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(PAID,), status=Status.PAID, paid=ALL),
    Template(
        name="by bank, which takes its time",
        weight=10,
        events=(Event("PENDING"), PAID),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=8,
        events=(Event("AUTHORISATION false"),),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=5, events=(Event("PENDING"),), status=Status.PROCESSING),
    Template(
        name="offered, and never paid", weight=4, events=(Event("PENDING"), Event("OFFER_CLOSED")), status=Status.FAILED
    ),
    Template(
        name="paid, and the capture told along",
        weight=6,
        events=(PAID, Event("CAPTURE", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and never captured",
        weight=2,
        events=(PAID, Event("CAPTURE_FAILED")),
        status=Status.FAILED,
    ),
    Template(
        name="paid, never captured, and captured again",
        weight=1,
        events=(PAID, Event("CAPTURE_FAILED"), Event("CAPTURE")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="cancelled before it was captured",
        weight=3,
        events=(PAID, Event("CANCELLATION")),
        status=Status.FAILED,
    ),
    Template(
        name="reversed, one way or the other",
        weight=3,
        events=(PAID, Event("CANCEL_OR_REFUND")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(PAID, Event("REFUND", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(PAID, Event("REFUND", 3, "1"), Event("REFUND", 7, "2", after_s=AT_ONCE_S)),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that is refused",
        weight=3,
        events=(PAID, Event("REFUND false", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=3,
        events=(PAID, Event("REFUND", 6, "1"), Event("REFUND_FAILED", 6, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that the payer's bank sends back",
        weight=2,
        events=(PAID, Event("REFUND", 2, "1"), Event("REFUND", 3, "2"), Event("REFUNDED_REVERSED", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="disputed",
        weight=3,
        events=(PAID, Event("NOTIFICATION_OF_CHARGEBACK"), Event("CHARGEBACK")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed and defended",
        weight=2,
        events=(PAID, Event("CHARGEBACK"), Event("CHARGEBACK_REVERSED", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a report that is of no interest",
        weight=2,
        events=(PAID, Event("REPORT_AVAILABLE")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, events=(Event("AUTHORISATION", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(name="paid in another currency", weight=2, events=(PAID,), status=Status.UNPAID, in_other_currency=True),
    Template(
        name="paid where nobody expects it", weight=2, events=(PAID,), status=Status.UNPAID, at_other_account=True
    ),
)


def _new_signer(account: str) -> AdyenSigner:
    return AdyenSigner(account=account, hmac_key=secrets.token_hex(32).upper(), merchant_account="TillECOM")


def _impostor(signer: Signer) -> AdyenSigner:
    return msgspec.structs.replace(cast("AdyenSigner", signer), hmac_key=secrets.token_hex(32).upper())


def _settings(signer: Signer) -> Mapping[str, Setting]:
    own = cast("AdyenSigner", signer)
    return {"hmac_keys": [Secret(own.hmac_key)], "merchant_account": own.merchant_account, "live": False}


SIMULATOR: Final = Simulator(
    gateway="adyen",
    event_types={
        "AUTHORISATION": PaymentState.SUCCEEDED,
        "AUTHORISATION false": PaymentState.FAILED,
        "PENDING": PaymentState.PENDING,
        "OFFER_CLOSED": PaymentState.CANCELLED,
        "CAPTURE": PaymentState.SUCCEEDED,
        "CAPTURE_FAILED": PaymentState.REVERSED,
        "CANCELLATION": PaymentState.REVERSED,
        "CANCEL_OR_REFUND": RefundState.SUCCEEDED,
        "REFUND": RefundState.SUCCEEDED,
        "REFUND false": RefundState.FAILED,
        "REFUND_FAILED": RefundState.FAILED,
        "REFUNDED_REVERSED": RefundState.FAILED,
        "NOTIFICATION_OF_CHARGEBACK": None,
        "CHARGEBACK": None,
        "CHARGEBACK_REVERSED": None,
        "REPORT_AVAILABLE": None,
    },
    ignored=frozenset({"REPORT_AVAILABLE"}),
    event_id_of=_event_id_of,
    second_events={"CANCELLATION": "reversed"},
    templates=TEMPLATES,
    currencies=("EUR", "USD", "GBP", "SEK", "JPY", "KWD"),
    payment_prefix="PSP",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=None,
)
