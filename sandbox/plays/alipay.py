"""Alipay as the sandbox plays it."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sandbox.apis.alipay import AlipayApi
from sandbox.keys import new_rsa_key, private_pem, public_pem
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Signed
from sandbox.signing_alipay import (
    AlipayTrade,
    alipay_closed,
    alipay_delivery,
    alipay_finished,
    alipay_pending,
    alipay_refund,
    alipay_success,
)
from sandbox.story import Happening, Story
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "WAIT_BUYER_PAY": PaymentState.PENDING,
    "TRADE_SUCCESS": PaymentState.SUCCEEDED,
    "TRADE_FINISHED": PaymentState.SUCCEEDED,
    "TRADE_CLOSED": PaymentState.CANCELLED,
    "refund asked": RefundState.PENDING,
    "refunded": RefundState.SUCCEEDED,
}

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=40,
        says=(Say("WAIT_BUYER_PAY"), Say("TRADE_SUCCESS", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and too old for a refund",
        weight=6,
        says=(Say("TRADE_SUCCESS"), Say("TRADE_FINISHED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="at the till", weight=8, says=(Say("WAIT_BUYER_PAY"),), status=Status.PROCESSING),
    Template(
        name="never paid",
        weight=10,
        says=(Say("WAIT_BUYER_PAY"), Say("TRADE_CLOSED")),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=10,
        says=(Say("WAIT_BUYER_PAY"), Say("TRADE_SUCCESS"), Say("refunded", 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="two parts given back",
        weight=5,
        says=(Say("TRADE_SUCCESS"), Say("refunded", 3, "1"), Say("refunded", 7, "2")),  # totals, not parts
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=8,
        says=(Say("TRADE_SUCCESS"), Say("refunded", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        says=(Say("TRADE_SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("TRADE_SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


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
    app_key: RSAPrivateKey  # the merchant's, which signs queries

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


def _new_voice(account: str) -> AlipayVoice:
    return AlipayVoice(
        account=account,
        app_id="2021004100000001",
        seller_id="2088000000000001",
        private_key=new_rsa_key(),
        app_key=new_rsa_key(),
    )


def _impostor(voice: Voice) -> AlipayVoice:
    assert isinstance(voice, AlipayVoice)
    return msgspec.structs.replace(voice, private_key=new_rsa_key())


def _settings(voice: Voice) -> dict[str, Setting]:
    assert isinstance(voice, AlipayVoice)
    return {
        "app_id": voice.app_id,
        "seller_id": voice.seller_id,
        "alipay_public_key": Kept(public_pem(voice.private_key)),
        "app_private_key": Kept(private_pem(voice.app_key)),
    }


def _api(voice: Voice, ledger: Ledger) -> AlipayApi:
    assert isinstance(voice, AlipayVoice)
    return AlipayApi(voice, ledger)


PLAY: Final = Play(
    gateway="alipay",
    words=WORDS,
    totals=frozenset({"refunded"}),
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="20261122",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=_api,
    api_path="/gateway.do",
)
