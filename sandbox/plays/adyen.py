"""Adyen as the sandbox plays it: standard webhooks in JSON of an account that captures by itself, one item each.

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

from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import PaymentState, RefundState
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

OF_THE_PAYMENT: Final = frozenset({"AUTHORISATION", "PENDING", "OFFER_CLOSED"})  # all others refer to it
OF_A_REFUND: Final = frozenset({"REFUND", "REFUND_FAILED", "REFUNDED_REVERSED"})
REASONS: Final = {"AUTHORISATION false": "Not enough balance", "REFUND false": "Insufficient balance on payment"}


class AdyenVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Adyen's, with a merchant account's HMAC key."""

    gateway: ClassVar[str] = "adyen"
    pays: ClassVar[str] = "AUTHORISATION"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"value":'

    account: str
    hmac_key: str
    merchant_account: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same delivery each time; nothing counts repetitions."""
        code, success = _code_of(happening)
        more: Json = {} if code in OF_THE_PAYMENT else {"originalReference": story.payment_ref}
        item = adyen_item(
            code,
            _psp_ref(story, happening),
            happening.amount,
            story.currency,
            story.order_ref,
            at=happening.at,
            success=success,
            merchant_account=self.merchant_account,
            reason=REASONS.get(happening.word, ""),
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


def _code_of(happening: Happening) -> tuple[str, str]:
    code, _, success = happening.word.partition(" ")
    return code, success or "true"


def _psp_ref(story: Story, happening: Happening) -> str:
    """Refunds have one for all that becomes of them, and so have disputes."""
    code, _ = _code_of(happening)
    if code in OF_THE_PAYMENT:
        return story.payment_ref
    if code in OF_A_REFUND:
        return happening.refund_ref
    return f"{'D' if 'CHARGEBACK' in code else 'M'}{bare(story.order_ref)}"


def _renamed(story: Story, happening: Happening) -> str:
    """Adyen's items have no name: they are told apart by reference, code and outcome."""
    return ":".join((_psp_ref(story, happening), *_code_of(happening)))


PAID: Final = Say("AUTHORISATION")

TEMPLATES: Final = (
    Template(name="paid", weight=35, says=(PAID,), status=Status.PAID, paid=ALL),
    Template(
        name="by bank, which takes its time",
        weight=10,
        says=(Say("PENDING"), PAID),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=8,
        says=(Say("AUTHORISATION false"),),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=5, says=(Say("PENDING"),), status=Status.PROCESSING),
    Template(
        name="offered, and never paid", weight=4, says=(Say("PENDING"), Say("OFFER_CLOSED")), status=Status.FAILED
    ),
    Template(
        name="paid, and the capture told along",
        weight=6,
        says=(PAID, Say("CAPTURE", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and never captured",
        weight=2,
        says=(PAID, Say("CAPTURE_FAILED")),
        status=Status.FAILED,
    ),
    Template(
        name="paid, never captured, and captured again",
        weight=1,
        says=(PAID, Say("CAPTURE_FAILED"), Say("CAPTURE")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="cancelled before it was captured",
        weight=3,
        says=(PAID, Say("CANCELLATION")),
        status=Status.FAILED,
    ),
    Template(
        name="reversed, one way or the other",
        weight=3,
        says=(PAID, Say("CANCEL_OR_REFUND")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        says=(PAID, Say("REFUND", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        says=(PAID, Say("REFUND", 3, "1"), Say("REFUND", 7, "2", after_s=AT_ONCE_S)),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that is refused",
        weight=3,
        says=(PAID, Say("REFUND false", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=3,
        says=(PAID, Say("REFUND", 6, "1"), Say("REFUND_FAILED", 6, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that the payer's bank sends back",
        weight=2,
        says=(PAID, Say("REFUND", 2, "1"), Say("REFUND", 3, "2"), Say("REFUNDED_REVERSED", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="disputed",
        weight=3,
        says=(PAID, Say("NOTIFICATION_OF_CHARGEBACK"), Say("CHARGEBACK")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed and defended",
        weight=2,
        says=(PAID, Say("CHARGEBACK"), Say("CHARGEBACK_REVERSED", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a report that is of no interest",
        weight=2,
        says=(PAID, Say("REPORT_AVAILABLE")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, says=(Say("AUTHORISATION", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(name="paid in another currency", weight=2, says=(PAID,), status=Status.UNPAID, in_other_currency=True),
    Template(name="paid where nobody expects it", weight=2, says=(PAID,), status=Status.UNPAID, at_other_account=True),
)


def _new_voice(account: str) -> AdyenVoice:
    return AdyenVoice(account=account, hmac_key=secrets.token_hex(32).upper(), merchant_account="TillECOM")


def _impostor(voice: Voice) -> AdyenVoice:
    return msgspec.structs.replace(cast("AdyenVoice", voice), hmac_key=secrets.token_hex(32).upper())


def _settings(voice: Voice) -> Mapping[str, Setting]:
    own = cast("AdyenVoice", voice)
    return {"hmac_keys": [Kept(own.hmac_key)], "merchant_account": own.merchant_account, "live": False}


PLAY: Final = Play(
    gateway="adyen",
    words={
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
    silent=frozenset({"REPORT_AVAILABLE"}),
    renamed=_renamed,
    also={"CANCELLATION": "reversed"},
    templates=TEMPLATES,
    currencies=("EUR", "USD", "GBP", "SEK", "JPY", "KWD"),
    payment_prefix="PSP",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=None,
)
