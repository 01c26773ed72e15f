"""Each gateway's voice: a happening of a story as the signed request that the gateway would send."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sandbox.signing import (
    Json,
    Signed,
    WeChatPayKey,
    charge_ref_of,
    rfc3339,
    session_ref_of,
    stripe_body,
    stripe_charge,
    stripe_dispute,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
    stripe_signed,
    wechatpay_delivery,
    wechatpay_refund,
    wechatpay_refund_id,
    wechatpay_transaction,
)
from sandbox.signing_alipay import (
    AlipayTrade,
    alipay_closed,
    alipay_delivery,
    alipay_finished,
    alipay_pending,
    alipay_refund,
    alipay_success,
)
from sandbox.story import Happening, Story, bare


class Voice(Protocol):
    """One account at one gateway, as the gateway itself holds it."""

    gateway: ClassVar[str]
    pays: ClassVar[str]  # the word that makes an order paid
    signs_time: ClassVar[bool]  # whether an old signature can be told from a new one
    amount_follows: ClassVar[bytes | None]  # before a byte of the body that nobody may change, if there is one

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:
        """The delivery, signed at `now`; `again` is 1 for the first repetition."""
        ...

    def query(self, story: Story, happening: Happening) -> str:
        """What stands behind the question mark of the URL that is posted to, raw."""
        ...


class StripeVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's, with an endpoint's secret."""

    gateway: ClassVar[str] = "stripe"
    pays: ClassVar[str] = "payment_intent.succeeded"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"amount": '

    account: str
    secret: str
    api_key: str = ""  # who shows it may ask

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:
        """Signed anew each time; `pending_webhooks` changes between deliveries, as it does in life."""
        return stripe_signed(self.secret, now, self.body(story, happening, pending_webhooks=max(0, 1 - again)))

    def body(self, story: Story, happening: Happening, *, pending_webhooks: int) -> bytes:
        """The event, as a delivery and as the list of events show it."""
        return stripe_body(
            happening.at,
            happening.word,
            STRIPE_OBJECTS[happening.word](story, happening),
            id=happening.event_id,
            pending_webhooks=pending_webhooks,
        )


def _intent(status: str, **more: object) -> Callable[[Story, Happening], Json]:
    def make(story: Story, _happening: Happening) -> Json:
        told = {"status": status, "amount_received": 0, **more}
        return stripe_payment_intent(story.payment_ref, story.amount, story.currency, story.order_ref, **told)

    return make


def _intent_authorized(story: Story, happening: Happening) -> Json:
    return _intent("requires_capture", amount_capturable=happening.amount)(story, happening)


def _intent_succeeded(story: Story, happening: Happening) -> Json:
    return _intent("succeeded", amount_received=happening.amount)(story, happening)


def _session(payment_status: str) -> Callable[[Story, Happening], Json]:
    def make(story: Story, happening: Happening) -> Json:
        told = {"client_reference_id": story.order_ref, "payment_status": payment_status}
        return stripe_session(
            session_ref_of(story.payment_ref), story.payment_ref, happening.amount, story.currency, **told
        )

    return make


def _refund(status: str, **more: object) -> Callable[[Story, Happening], Json]:
    def make(story: Story, happening: Happening) -> Json:
        return stripe_refund(
            happening.refund_ref, story.payment_ref, happening.amount, story.currency, status=status, **more
        )

    return make


def _charge_refunded(story: Story, happening: Happening) -> Json:
    told = {"amount_refunded": happening.amount, "refunded": happening.amount == story.amount}
    return stripe_charge(charge_ref_of(story.payment_ref), story.payment_ref, story.amount, story.currency, **told)


def _dispute(story: Story, happening: Happening) -> Json:
    return stripe_dispute(f"dp_{bare(story.order_ref)}", story.payment_ref, happening.amount, story.currency)


STRIPE_OBJECTS: Final[Mapping[str, Callable[[Story, Happening], Json]]] = {
    "payment_intent.created": _intent("requires_payment_method"),
    "payment_intent.processing": _intent("processing"),
    "payment_intent.amount_capturable_updated": _intent_authorized,
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.payment_failed": _intent(
        "requires_payment_method",
        last_payment_error={"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"},
    ),
    "payment_intent.canceled": _intent("canceled", cancellation_reason="abandoned"),
    "checkout.session.completed": _session("unpaid"),
    "checkout.session.async_payment_succeeded": _session("paid"),
    "refund.created": _refund("pending"),
    "refund.updated": _refund("succeeded"),
    "refund.failed": _refund("failed", failure_reason="expired_or_canceled_card"),
    "charge.refunded": _charge_refunded,
    "charge.dispute.created": _dispute,
}


class AlipayVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Alipay's, with Alipay's own key for one app."""

    gateway: ClassVar[str] = "alipay"
    pays: ClassVar[str] = "TRADE_SUCCESS"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"total_amount="

    account: str
    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    app_key: RSAPrivateKey  # the merchant's, which signs questions

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time: Alipay signs no time of sending."""
        paid = [it for it in (*story.happenings, happening) if it.word == self.pays]
        trade = AlipayTrade(
            app_id=self.app_id,
            seller_id=self.seller_id,
            order_ref=story.order_ref,
            payment_ref=story.payment_ref,
            amount=paid[0].amount if paid else story.amount,
            created_at=min(it.at for it in (*story.happenings, happening)),
            charset="gbk" if story.order_ref.endswith("5") else "utf-8",  # merchants choose either
        )
        more = {"notify_id": happening.event_id}
        match happening.word:
            case "WAIT_BUYER_PAY":
                fields = alipay_pending(trade, **more)
            case "TRADE_SUCCESS":
                fields = alipay_success(trade, happening.at, **more)
            case "TRADE_FINISHED":
                fields = alipay_finished(trade, paid[0].at, happening.at, **more)
            case "TRADE_CLOSED":
                fields = alipay_closed(trade, happening.at, **more)
            case "refunded":
                total, refund_ref = happening.amount, happening.refund_ref
                fields = alipay_refund(trade, paid[0].at, happening.at, total=total, refund_ref=refund_ref, **more)
            case word:
                raise AssertionError(f"Alipay has no word {word}")
        return alipay_delivery(self.private_key, fields)


class WeChatPayVoice(msgspec.Struct, frozen=True, kw_only=True):
    """WeChat Pay's, with one of its keys and what it shares with the merchant."""

    gateway: ClassVar[str] = "wechatpay"
    pays: ClassVar[str] = "TRANSACTION.SUCCESS"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"ciphertext":"'

    account: str
    mch_id: str
    app_id: str
    apiv3_key: str
    key: WeChatPayKey
    merchant_serial: str
    merchant_key: RSAPrivateKey  # which signs questions

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time, signed anew."""
        told = {"id": happening.event_id, "create_time": rfc3339(happening.at)}
        return wechatpay_delivery(
            self.key, self.apiv3_key, now, happening.word, self._resource(story, happening), **told
        )

    def _resource(self, story: Story, happening: Happening) -> Json:
        if happening.word == self.pays:
            return wechatpay_transaction(
                mch_id=self.mch_id,
                app_id=self.app_id,
                order_ref=story.order_ref,
                payment_ref=story.payment_ref,
                amount=happening.amount,
                at=happening.at,
            )
        return wechatpay_refund(
            mch_id=self.mch_id,
            order_ref=story.order_ref,
            payment_ref=story.payment_ref,
            refund_ref=wechatpay_refund_id(happening.refund_ref),
            refund=happening.amount,
            total=story.amount,
            at=happening.at,
            refund_status=happening.word.removeprefix("REFUND."),
            out_refund_no=happening.refund_ref,
        )
