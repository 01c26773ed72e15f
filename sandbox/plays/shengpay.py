"""ShengPay as the sandbox plays it: JSON whose `sign` is RSA over the other fields."""

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

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

SHANGHAI: Final = timezone(timedelta(hours=8))
HASHES: Final[Mapping[str, HashAlgorithm]] = {"RSA2": SHA256(), "RSA": SHA1()}  # noqa: S303 - ShengPay's own
PAID: Final = "SUCCESS"
DECLINED: Final = "FAIL"
BOUND: Final = "BIND"
REFUND: Final = "REFUND."
JSON_TYPE: Final = "application/json; charset=UTF-8"

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=35, says=(Say(PAID),), status=Status.PAID, paid=ALL),
    Template(name="paid with a card newly bound", weight=6, says=(Say(BOUND), Say(PAID)), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=5, status=Status.UNPAID),  # ShengPay says nothing then
    Template(name="declined", weight=5, says=(Say(DECLINED),), status=Status.FAILED),
    Template(
        name="declined, then paid",
        weight=8,
        says=(Say(DECLINED), Say(PAID, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=10,
        says=(Say(PAID), Say("REFUND.PROCESSING", 2, "1"), Say("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        says=(Say(PAID), Say("REFUND.SUCCESS", 4, "1"), Say("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        says=(Say(PAID), Say("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=4,
        says=(Say(PAID), Say("REFUND.PROCESSING", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=4,
        says=(Say(PAID), Say("REFUND.PROCESSING", 5, "1"), Say("REFUND.CHANGE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        says=(Say(PAID), Say("REFUND.REFUND_CLOSE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, says=(Say(PAID, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it", weight=2, says=(Say(PAID),), status=Status.UNPAID, at_other_account=True
    ),
)


class ShengPayVoice(msgspec.Struct, frozen=True, kw_only=True):
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

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time: nothing in it tells when it was sent."""
        if happening.word == BOUND:
            return self.sent(self.card(story))
        if happening.word.startswith(REFUND):
            return self.sent(self.refund(story, happening))
        return self.sent(self.payment(story, happening))

    def sent(self, fields: Json) -> Signed:
        """A POST of these fields, signed."""
        return {"Content-Type": JSON_TYPE}, written(self.signed(fields))

    def signed(self, fields: Json) -> Json:
        """The fields with their signature."""
        told = fields | {"signType": self.sign_type}
        return told | {"sign": sign(self.key, told, self.sign_type)}

    def payment(self, story: Story, happening: Happening) -> Json:
        """A payment that succeeded, or that was declined."""
        told = self._common() | {
            "resultCode": happening.word,
            "openId": "15",
            "tradeType": "MWEB",
            "transactionId": story.payment_ref,
            "outTradeNo": story.order_ref,
            "totalFee": happening.amount,
            "bankType": "ICBC",
            "attach": '{"cardType":"DR"}',
            "cardNo": "1234",
            "cardType": "DC",
        }
        return told | ({"timeEnd": compact(happening.at)} if happening.word == PAID else {"timeEnd": ""})

    def refund(self, story: Story, happening: Happening) -> Json:
        """A refund's notice, with its amounts as texts."""
        status = happening.word.removeprefix(REFUND)
        return self._common() | {
            "resultCode": "FAIL" if WORDS[happening.word] is RefundState.FAILED else "SUCCESS",
            "transactionId": story.payment_ref,
            "outTradeNo": story.order_ref,
            "refundId": refund_id_of(happening.refund_ref),
            "outRefundNo": happening.refund_ref,
            "totalFee": str(story.amount),
            "settlementTotalFee": str(story.amount),
            "refundFee": str(happening.amount),
            "settlementRefundFee": str(happening.amount),
            "refundStatus": status,
            "refundSuccessTime": compact(happening.at) if status == "SUCCESS" else "",
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

    def __init__(self, voice: ShengPayVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        asked = _fields_in(put.body)
        if not self._is_signed(asked):
            return self._failed("SIGN_ERROR", "签名错误", about="nothing")
        if (asked.get("mchId"), asked.get("appId")) != (self._voice.mch_id, self._voice.app_id):
            return self._failed("MCH_NOT_FOUND", "商户不存在", about="nothing")
        match put.method, put.path:
            case "POST", "/api/v3/payment/orderquery":
                return self._payment(asked, knows_at)
            case "POST", "/api/v3/payment/refundquery":
                return self._refund(str(asked.get("outRefundNo", "")), knows_at)
            case _:
                return Told(status=404, body=b"{}", about="nothing", said="no such address")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """ShengPay's words for trouble of its own."""
        told = self._failed("BIZERR_NEED_RETRY", "业务繁忙，请重试", about="nothing")
        return msgspec.structs.replace(told, status=status)

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Errors are signed too."""
        fields = _fields_in(told.body) | {"signType": self._voice.sign_type}
        fields["sign"] = sign(_new_key() if forged else self._voice.key, fields, self._voice.sign_type)
        headers = {"Content-Type": JSON_TYPE, "Date": http_date(now), **told.headers}
        return Sealed(status=told.status, headers=headers, body=written(fields))

    def _is_signed(self, asked: Json) -> bool:
        if asked.get("signType") != self._voice.sign_type:
            return False
        try:
            signature = b64decode(str(asked.get("sign")), validate=True)
            public = self._voice.merchant_key.public_key()
            public.verify(signature, text_of(asked).encode(), PKCS1v15(), HASHES[self._voice.sign_type])
        except (ValueError, InvalidSignature):
            return False
        return True

    def _payment(self, asked: Json, knows_at: datetime) -> Told:
        """By ShengPay's number, or by the order's."""
        if transaction_id := asked.get("transactionId"):
            ref = str(transaction_id)
            books = self._ledger.payment(self.account, ref, knows_at)
        else:
            ref = str(asked.get("outTradeNo", ""))
            books = self._ledger.payments_of_order(self.account, ref, knows_at)
        if books is None:
            return self._failed("ORDER_NOT_EXIST", "订单不存在", about="payment", ref=ref)
        state = "REFUND" if books.refunds else TRADE_STATES[books.state]
        told = {
            "tradeType": "MWEB",
            "transactionId": books.story.payment_ref,
            "outTradeNo": books.story.order_ref,
            "openId": "15",
            "totalFee": books.captured or books.story.amount,
            "tradeState": state,
            "tradeStateDesc": "",
            "timeEnd": "" if books.paid_at is None else compact(books.paid_at),
        }
        return self._told(told, about="payment", ref=ref, books=books, said=state)

    def _refund(self, ref: str, knows_at: datetime) -> Told:
        books = self._ledger.payment_of_refund(self.account, ref, knows_at)
        refund = None if books is None else books.refund(ref)
        if books is None or refund is None:
            return self._failed("ORDER_NOT_EXIST", "订单不存在", about="refund", ref=ref)
        told = _refund_told(books, refund)
        return self._told(told, about="refund", ref=ref, books=books, said=told["refundStatus"])

    def _told(self, fields: Json, *, about: str, ref: str, books: Known, said: str) -> Told:
        body = written(self._common() | {"resultCode": "SUCCESS"} | fields)
        return Told(body=body, about=about, ref=ref, order_ref=books.story.order_ref, said=said)

    def _failed(self, code: str, words: str, *, about: str, ref: str = "") -> Told:
        told = self._common() | {"resultCode": "FAIL", "errorCode": code, "errorCodeDes": words}
        return Told(body=written(told), about=about, ref=ref, said=code)

    def _common(self) -> Json:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        done = {"returnCode": "SUCCESS", "returnMsg": "SUCCESS"}
        return done | {"appId": self._voice.app_id, "mchId": self._voice.mch_id, "nonceStr": nonce}


def _refund_told(books: Known, refund: KnownRefund) -> Json:
    status = refund.word.removeprefix(REFUND)
    return {
        "transactionId": books.story.payment_ref,
        "outTradeNo": books.story.order_ref,
        "refundId": refund_id_of(refund.refund_ref),
        "outRefundNo": refund.refund_ref,
        "totalFee": str(books.captured),
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


def new_voice(account: str) -> ShengPayVoice:
    """A merchant with fresh keys on both sides."""
    return ShengPayVoice(
        account=account,
        mch_id="93762611",
        app_id="312343123132131331232",
        key=_new_key(),
        merchant_key=_new_key(),
    )


def _impostor(voice: Voice) -> Voice:
    return msgspec.structs.replace(cast("ShengPayVoice", voice), key=_new_key())


def _settings(voice: Voice) -> Mapping[str, Setting]:
    ours = cast("ShengPayVoice", voice)
    public = ours.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = ours.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "mch_id": ours.mch_id,
        "app_id": ours.app_id,
        "shengpay_public_key": Kept(public.decode()),
        "sign_type": ours.sign_type,
        "mch_private_key": Kept(private.decode()),
    }


def _renamed(story: Story, happening: Happening) -> str:
    """The payment's number, alone or with what became of it; or the refund's."""
    if happening.word.startswith(REFUND):
        return f"refund:{refund_id_of(happening.refund_ref)}:{happening.word.removeprefix(REFUND)}"
    return story.payment_ref if happening.word == PAID else f"{story.payment_ref}:FAIL:FAIL"


PLAY: Final = Play(
    gateway="shengpay",
    words=WORDS,
    silent=frozenset({BOUND}),
    fetched=FETCHED,
    renamed=_renamed,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="WP2026",
    new_voice=new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: ShengPayApi(cast("ShengPayVoice", voice), ledger),
)
