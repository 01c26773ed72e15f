"""A simulated ShengPay: JSON whose `sign` is RSA over the other fields."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import ClassVar, Final, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

SHANGHAI: Final = timezone(timedelta(hours=8))
HASHES: Final[Mapping[str, HashAlgorithm]] = {"RSA2": SHA256(), "RSA": SHA1()}  # noqa: S303 - ShengPay's own
PAID: Final = "SUCCESS"
DECLINED: Final = "FAIL"
BOUND: Final = "BIND"
REFUND: Final = "REFUND."
JSON_TYPE: Final = "application/json; charset=UTF-8"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    BOUND: None,
    "WAIT_PAY": PaymentState.CREATED,
    "PAYING": PaymentState.PENDING,
    "CLOSED": PaymentState.CANCELLED,
    DECLINED: PaymentState.FAILED,
    PAID: PaymentState.SUCCEEDED,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.REFUND_CLOSE": RefundState.FAILED,
    "REFUND.CHANGE": RefundState.FAILED,
}
FETCHED: Final = frozenset({"REFUND.PROCESSING", "REFUND.REFUND_CLOSE", "REFUND.CHANGE"})  # they tell no time
TRADE_STATES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "WAIT_PAY",
    PaymentState.PENDING: "PAYING",
    PaymentState.FAILED: "PAY_ERROR",
    PaymentState.CANCELLED: "CLOSED",
    PaymentState.SUCCEEDED: "SUCCESS",
}

TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(Event(PAID),), status=Status.PAID, paid=ALL),
    Template(
        name="paid with a card newly bound", weight=6, events=(Event(BOUND), Event(PAID)), status=Status.PAID, paid=ALL
    ),
    Template(name="never paid", weight=5, status=Status.UNPAID),  # ShengPay says nothing then
    Template(name="declined", weight=5, events=(Event(DECLINED),), status=Status.FAILED),
    Template(
        name="declined, then paid",
        weight=8,
        events=(Event(DECLINED), Event(PAID, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=10,
        events=(Event(PAID), Event("REFUND.PROCESSING", 2, "1"), Event("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        events=(Event(PAID), Event("REFUND.SUCCESS", 4, "1"), Event("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event(PAID), Event("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=4,
        events=(Event(PAID), Event("REFUND.PROCESSING", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=4,
        events=(Event(PAID), Event("REFUND.PROCESSING", 5, "1"), Event("REFUND.CHANGE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        events=(Event(PAID), Event("REFUND.REFUND_CLOSE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, events=(Event(PAID, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(PAID),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


class ShengPaySigner(msgspec.Struct, frozen=True, kw_only=True):
    """ShengPay's, with its own key and the merchant's, which signs queries."""

    gateway: ClassVar[str] = "shengpay"
    pays: ClassVar[str] = PAID
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"totalFee":'

    account: str
    mch_id: str
    app_id: str
    key: RSAPrivateKey
    merchant_key: RSAPrivateKey
    sign_type: str = "RSA2"

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time: nothing in it tells when it was sent."""
        if event.event_type == BOUND:
            return self.sent(self.card(story))
        if event.event_type.startswith(REFUND):
            return self.sent(self.refund(story, event))
        return self.sent(self.payment(story, event))

    def sent(self, fields: Json) -> Signed:
        """A POST of these fields, signed."""
        return {"Content-Type": JSON_TYPE}, written(self.signed(fields))

    def signed(self, fields: Json) -> Json:
        """The fields with their signature."""
        content = fields | {"signType": self.sign_type}
        return content | {"sign": sign(self.key, content, self.sign_type)}

    def payment(self, story: Story, event: StoryEvent) -> Json:
        """A payment that succeeded, or that was declined."""
        content = self._common() | {
            "resultCode": event.event_type,
            "openId": "15",
            "tradeType": "MWEB",
            "transactionId": story.payment_ref,
            "outTradeNo": story.order_ref,
            "totalFee": event.amount,
            "bankType": "ICBC",
            "attach": '{"cardType":"DR"}',
            "cardNo": "1234",
            "cardType": "DC",
        }
        return content | ({"timeEnd": compact(event.at)} if event.event_type == PAID else {"timeEnd": ""})

    def refund(self, story: Story, event: StoryEvent) -> Json:
        """A refund's notice, with its amounts as texts."""
        status = event.event_type.removeprefix(REFUND)
        return self._common() | {
            "resultCode": "FAIL" if EVENT_TYPES[event.event_type] is RefundState.FAILED else "SUCCESS",
            "transactionId": story.payment_ref,
            "outTradeNo": story.order_ref,
            "refundId": refund_id_of(event.refund_ref),
            "outRefundNo": event.refund_ref,
            "totalFee": str(story.amount),
            "settlementTotalFee": str(story.amount),
            "refundFee": str(event.amount),
            "settlementRefundFee": str(event.amount),
            "refundStatus": status,
            "refundSuccessTime": compact(event.at) if status == "SUCCESS" else "",
            "refundRequestSource": "API",
        }

    def card(self, story: Story) -> Json:
        """A card that was bound as the order was paid."""
        return {
            "mchId": self.mch_id,
            "appId": self.app_id,
            "unionId": "9A2CE6A3FA1AFB3302F643D3B817AD5B",
            "eventType": BOUND,
            "bankCode": "ICBC",
            "bankName": "中国工商银行",
            "cardType": "DR",
            "cardNoBack4": "1234",
            "agreementNo": f"AGR{story.order_ref}",
            "resultCode": "SUCCESS",
            "nonceStr": "BindCardNotifyNonce",
        }

    def _common(self) -> Json:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        done = {"returnCode": "SUCCESS", "returnMsg": "SUCCESS"}
        return done | {"appId": self.app_id, "mchId": self.mch_id, "nonceStr": nonce}


def text_of(fields: Mapping[str, object]) -> str:
    """What is signed: `name=value` sorted by name; what is blank, and the signature itself, do not take part."""
    parts = []
    for name in sorted(fields.keys() - {"sign"}):
        value = fields[name]
        if value not in (None, ""):
            parts.append(f"{name}={value if isinstance(value, str) else json.dumps(value)}")
    return "&".join(parts)


def sign(key: RSAPrivateKey, fields: Mapping[str, object], sign_type: str) -> str:
    """RSA over the text, in base64."""
    return b64encode(key.sign(text_of(fields).encode(), PKCS1v15(), HASHES[sign_type])).decode()


def written(fields: Json) -> bytes:
    """The fields as JSON."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def compact(at: datetime) -> str:
    """20261005200000."""
    return f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}"


def refund_id_of(refund_ref: str) -> str:
    """ShengPay's own number for a refund."""
    return f"RFWP{hashlib.sha256(refund_ref.encode()).hexdigest()[:16]}"


class ShengPayApi:
    """One merchant's: orderquery and refundquery."""

    def __init__(self, signer: ShengPaySigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        asked = _fields_in(request.body)
        if not self._is_signed(asked):
            return self._failed("SIGN_ERROR", "签名错误", about="nothing")
        if (asked.get("mchId"), asked.get("appId")) != (self._signer.mch_id, self._signer.app_id):
            return self._failed("MCH_NOT_FOUND", "商户不存在", about="nothing")
        match request.method, request.path:
            case "POST", "/api/v3/payment/orderquery":
                return self._payment(asked, as_of)
            case "POST", "/api/v3/payment/refundquery":
                return self._refund(str(asked.get("outRefundNo", "")), as_of)
            case _:
                return ApiResponse(status=404, body=b"{}", about="nothing", summary="no such address")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """ShengPay's words for trouble of its own."""
        content = self._failed("BIZERR_NEED_RETRY", "业务繁忙，请重试", about="nothing")
        return msgspec.structs.replace(content, status=status)

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Errors are signed too."""
        fields = _fields_in(content.body) | {"signType": self._signer.sign_type}
        fields["sign"] = sign(_new_key() if forged else self._signer.key, fields, self._signer.sign_type)
        headers = {"Content-Type": JSON_TYPE, "Date": http_date(now), **content.headers}
        return SignedResponse(status=content.status, headers=headers, body=written(fields))

    def _is_signed(self, asked: Json) -> bool:
        if asked.get("signType") != self._signer.sign_type:
            return False
        try:
            signature = b64decode(str(asked.get("sign")), validate=True)
            public = self._signer.merchant_key.public_key()
            public.verify(signature, text_of(asked).encode(), PKCS1v15(), HASHES[self._signer.sign_type])
        except (ValueError, InvalidSignature):
            return False
        return True

    def _payment(self, asked: Json, as_of: datetime) -> ApiResponse:
        """By ShengPay's number, or by the order's."""
        if transaction_id := asked.get("transactionId"):
            ref = str(transaction_id)
            record = self._ledger.payment(self.account, ref, as_of)
        else:
            ref = str(asked.get("outTradeNo", ""))
            record = self._ledger.payment_of_order(self.account, ref, as_of)
        if record is None:
            return self._failed("ORDER_NOT_EXIST", "订单不存在", about="payment", ref=ref)
        state = "REFUND" if record.refunds else TRADE_STATES[record.state]
        content = {
            "tradeType": "MWEB",
            "transactionId": record.story.payment_ref,
            "outTradeNo": record.story.order_ref,
            "openId": "15",
            "totalFee": record.captured or record.story.amount,
            "tradeState": state,
            "tradeStateDesc": "",
            "timeEnd": "" if record.paid_at is None else compact(record.paid_at),
        }
        return self._response(content, about="payment", ref=ref, record=record, summary=state)

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_refund(self.account, ref, as_of)
        refund = None if record is None else record.refund(ref)
        if record is None or refund is None:
            return self._failed("ORDER_NOT_EXIST", "订单不存在", about="refund", ref=ref)
        content = _refund_told(record, refund)
        return self._response(content, about="refund", ref=ref, record=record, summary=content["refundStatus"])

    def _response(self, fields: Json, *, about: str, ref: str, record: PaymentRecord, summary: str) -> ApiResponse:
        body = written(self._common() | {"resultCode": "SUCCESS"} | fields)
        return ApiResponse(body=body, about=about, ref=ref, order_ref=record.story.order_ref, summary=summary)

    def _failed(self, code: str, event_types: str, *, about: str, ref: str = "") -> ApiResponse:
        content = self._common() | {"resultCode": "FAIL", "errorCode": code, "errorCodeDes": event_types}
        return ApiResponse(body=written(content), about=about, ref=ref, summary=code)

    def _common(self) -> Json:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        done = {"returnCode": "SUCCESS", "returnMsg": "SUCCESS"}
        return done | {"appId": self._signer.app_id, "mchId": self._signer.mch_id, "nonceStr": nonce}


def _refund_told(record: PaymentRecord, refund: RefundRecord) -> Json:
    status = refund.event_type.removeprefix(REFUND)
    return {
        "transactionId": record.story.payment_ref,
        "outTradeNo": record.story.order_ref,
        "refundId": refund_id_of(refund.refund_ref),
        "outRefundNo": refund.refund_ref,
        "totalFee": str(record.captured),
        "refundFee": str(refund.amount),
        "settlementRefundFee": str(refund.amount),
        "refundStatus": status,
        "refundSuccessTime": compact(refund.at) if status == "SUCCESS" else "",
        "refundRequestSource": "API",
    }


def _fields_in(body: bytes) -> Json:
    try:
        fields = json.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def new_signer(account: str) -> ShengPaySigner:
    """A merchant with fresh keys on both sides."""
    return ShengPaySigner(
        account=account,
        mch_id="93762611",
        app_id="312343123132131331232",
        key=_new_key(),
        merchant_key=_new_key(),
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("ShengPaySigner", signer), key=_new_key())


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("ShengPaySigner", signer)
    public = ours.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = ours.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "mch_id": ours.mch_id,
        "app_id": ours.app_id,
        "shengpay_public_key": Secret(public.decode()),
        "sign_type": ours.sign_type,
        "mch_private_key": Secret(private.decode()),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """The payment's number, alone or with what became of it; or the refund's."""
    if event.event_type.startswith(REFUND):
        return f"refund:{refund_id_of(event.refund_ref)}:{event.event_type.removeprefix(REFUND)}"
    return story.payment_ref if event.event_type == PAID else f"{story.payment_ref}:FAIL:FAIL"


SIMULATOR: Final = Simulator(
    gateway="shengpay",
    event_types=EVENT_TYPES,
    ignored=frozenset({BOUND}),
    fetched=FETCHED,
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="WP2026",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: ShengPayApi(cast("ShengPaySigner", signer), ledger),
)
