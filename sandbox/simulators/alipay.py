"""A simulated Alipay."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sandbox.keys import new_rsa_key, private_pem, public_pem
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.signer import Signer
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
from sandbox.simulators.alipay_api import AlipayApi
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
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
        events=(Event("WAIT_BUYER_PAY"), Event("TRADE_SUCCESS", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and too old for a refund",
        weight=6,
        events=(Event("TRADE_SUCCESS"), Event("TRADE_FINISHED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="at the till", weight=8, events=(Event("WAIT_BUYER_PAY"),), status=Status.PROCESSING),
    Template(
        name="never paid",
        weight=10,
        events=(Event("WAIT_BUYER_PAY"), Event("TRADE_CLOSED")),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=10,
        events=(Event("WAIT_BUYER_PAY"), Event("TRADE_SUCCESS"), Event("refunded", 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="two parts given back",
        weight=5,
        events=(Event("TRADE_SUCCESS"), Event("refunded", 3, "1"), Event("refunded", 7, "2")),  # totals, not parts
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event("TRADE_SUCCESS"), Event("refunded", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        events=(Event("TRADE_SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("TRADE_SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class AlipaySigner(msgspec.Struct, frozen=True, kw_only=True):
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

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time: Alipay signs no time of sending."""
        paid = [it for it in (*story.events, event) if it.event_type == self.pays]
        trade = AlipayTrade(
            app_id=self.app_id,
            seller_id=self.seller_id,
            order_ref=story.order_ref,
            payment_ref=story.payment_ref,
            amount=paid[0].amount if paid else story.amount,
            created_at=min(it.at for it in (*story.events, event)),
            charset="gbk" if story.order_ref.endswith("5") else "utf-8",  # merchants choose either
        )
        more = {"notify_id": event.event_id}
        match event.event_type:
            case "WAIT_BUYER_PAY":
                fields = alipay_pending(trade, **more)
            case "TRADE_SUCCESS":
                fields = alipay_success(trade, event.at, **more)
            case "TRADE_FINISHED":
                fields = alipay_finished(trade, paid[0].at, event.at, **more)
            case "TRADE_CLOSED":
                fields = alipay_closed(trade, event.at, **more)
            case "refunded":
                total, refund_ref = event.amount, event.refund_ref
                fields = alipay_refund(trade, paid[0].at, event.at, total=total, refund_ref=refund_ref, **more)
            case event_type:
                raise AssertionError(f"Alipay has no word {event_type}")
        return alipay_delivery(self.private_key, fields)


def _new_signer(account: str) -> AlipaySigner:
    return AlipaySigner(
        account=account,
        app_id="2021004100000001",
        seller_id="2088000000000001",
        private_key=new_rsa_key(),
        app_key=new_rsa_key(),
    )


def _impostor(signer: Signer) -> AlipaySigner:
    assert isinstance(signer, AlipaySigner)
    return msgspec.structs.replace(signer, private_key=new_rsa_key())


def _settings(signer: Signer) -> dict[str, Setting]:
    assert isinstance(signer, AlipaySigner)
    return {
        "app_id": signer.app_id,
        "seller_id": signer.seller_id,
        "alipay_public_key": Secret(public_pem(signer.private_key)),
        "app_private_key": Secret(private_pem(signer.app_key)),
    }


def _api(signer: Signer, ledger: Ledger) -> AlipayApi:
    assert isinstance(signer, AlipaySigner)
    return AlipayApi(signer, ledger)


SIMULATOR: Final = Simulator(
    gateway="alipay",
    event_types=EVENT_TYPES,
    totals=frozenset({"refunded"}),
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="20261122",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=_api,
    api_path="/gateway.do",
)
