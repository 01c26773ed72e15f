"""WeChat Pay v2 as the sandbox plays it: XML signed with a shared key, refund notices encrypted and not signed."""

import hashlib
import hmac
import json
import re
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import ClassVar, Final, cast

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Signed
from sandbox.story import Happening, Story
from sandbox.templates import ALL, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

SHANGHAI: Final = timezone(timedelta(hours=8))
AES_BLOCK_BYTES: Final = 16
PAID: Final = "SUCCESS"
DECLINED: Final = "FAIL"
DECLINED_CODE: Final = "NOTENOUGH"
REFUND: Final = "REFUND."
# trade_state of a deduction, whose result_code says only that its notice is a good one.
ACCEPTED_DEDUCTION: Final = "ACCEPT"
FAILED_DEDUCTION: Final = "PAY_FAIL"
SUB_MCH_ID: Final = "1900000110"

Fields = dict[str, str]

WORDS: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "NOTPAY": PaymentState.CREATED,
    "USERPAYING": PaymentState.PENDING,
    "CLOSED": PaymentState.CANCELLED,
    DECLINED: PaymentState.FAILED,
    ACCEPTED_DEDUCTION: PaymentState.PENDING,
    FAILED_DEDUCTION: PaymentState.FAILED,
    PAID: PaymentState.SUCCEEDED,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.CHANGE": RefundState.FAILED,
    "REFUND.REFUNDCLOSE": RefundState.FAILED,
}
TRADE_STATES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "NOTPAY",
    PaymentState.PENDING: "USERPAYING",
    PaymentState.FAILED: "PAYERROR",
    PaymentState.CANCELLED: "CLOSED",
    PaymentState.SUCCEEDED: "SUCCESS",
}

TEMPLATES: Final = (
    Template(name="paid", weight=40, says=(Say(PAID),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(name="declined", weight=5, says=(Say(DECLINED),), status=Status.FAILED),
    Template(
        name="a deduction that failed",
        weight=4,
        says=(Say(ACCEPTED_DEDUCTION), Say(FAILED_DEDUCTION)),
        status=Status.FAILED,
    ),
    Template(name="a deduction", weight=4, says=(Say(ACCEPTED_DEDUCTION), Say(PAID)), status=Status.PAID, paid=ALL),
    Template(name="declined, then paid", weight=8, says=(Say(DECLINED), Say(PAID)), status=Status.PAID, paid=ALL),
    Template(
        name="a part given back",
        weight=10,
        says=(Say(PAID), Say("REFUND.SUCCESS", 2, "1")),
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
        name="a refund that the payer's card does not take",
        weight=5,
        says=(Say(PAID), Say("REFUND.CHANGE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        says=(Say(PAID), Say("REFUND.REFUNDCLOSE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, says=(Say(PAID, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it", weight=2, says=(Say(PAID),), status=Status.UNPAID, at_other_account=True
    ),
)


class WeChatPayV2Voice(msgspec.Struct, frozen=True, kw_only=True):
    """WeChat Pay's, with the key that it shares with the merchant."""

    gateway: ClassVar[str] = "wechatpay_v2"
    pays: ClassVar[str] = PAID
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"<total_fee>"

    account: str
    mch_id: str
    app_id: str
    api_key: str
    sign_type: str = "MD5"
    sub_mch_id: str | None = None  # of a service provider: the one sub-merchant that it serves

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time: nothing in it tells when it was sent."""
        if happening.word.startswith(REFUND):
            return self.sent(self.refund_notice(self.refund(story, happening)), signed=False)
        return self.sent(self.payment(story, happening))

    def sent(self, fields: Fields, *, signed: bool = True) -> Signed:
        """A POST of these fields."""
        return {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"}, xml(self.signed(fields) if signed else fields)

    def signed(self, fields: Fields) -> Fields:
        """The fields with their signature."""
        return fields | {"sign": sign(fields, self.api_key, self.sign_type)}

    def payment(self, story: Story, happening: Happening) -> Fields:
        """A payment that succeeded, or that was declined."""
        told = self._common() | {
            "result_code": DECLINED if happening.word == DECLINED else PAID,
            "openid": f"oUpF8u{story.order_ref}",
            "is_subscribe": "N",
            "trade_type": "JSAPI",
            "bank_type": "CMB_DEBIT",
            "fee_type": "CNY",
            "attach": "",
            "total_fee": str(happening.amount),
            "cash_fee": str(happening.amount),
            "transaction_id": story.payment_ref,
            "out_trade_no": story.order_ref,
            "time_end": compact(happening.at),
        }
        if happening.word == DECLINED:
            told |= {"err_code": DECLINED_CODE, "err_code_des": "余额不足"}
        if happening.word in {ACCEPTED_DEDUCTION, FAILED_DEDUCTION}:
            told |= {"trade_state": happening.word, "contract_id": "100005698"}
        return told

    def refund(self, story: Story, happening: Happening) -> Fields:
        """What is encrypted in a refund's notice."""
        return {
            "out_refund_no": happening.refund_ref,
            "out_trade_no": story.order_ref,
            "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
            "refund_fee": str(happening.amount),
            "refund_id": refund_id_of(happening.refund_ref),
            "refund_recv_accout": "支付用户零钱",
            "refund_request_source": "API",
            "refund_status": happening.word.removeprefix(REFUND),
            "settlement_refund_fee": str(happening.amount),
            "settlement_total_fee": str(story.amount),
            "success_time": f"{happening.at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
            "total_fee": str(story.amount),
            "transaction_id": story.payment_ref,
        }

    def refund_notice(self, refund: Fields) -> Fields:
        """The notice around a refund, which nobody signs."""
        return self._common() | {"req_info": sealed_info(self.api_key, xml(refund, "root"))}

    def _common(self) -> Fields:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        return {"return_code": "SUCCESS", **self.named(), "nonce_str": nonce}

    def named(self) -> Fields:
        """Whose it is."""
        sub = {} if self.sub_mch_id is None else {"sub_mch_id": self.sub_mch_id}
        return {"appid": self.app_id, "mch_id": self.mch_id, **sub}


def sign(fields: Mapping[str, str], api_key: str, sign_type: str) -> str:
    """Sorted by name; what is blank does not take part."""
    pairs = [f"{name}={fields[name]}" for name in sorted(fields) if fields[name] and name != "sign"]
    text = "&".join([*pairs, f"key={api_key}"]).encode()
    if sign_type == "HMAC-SHA256":
        return hmac.new(api_key.encode(), text, "sha256").hexdigest().upper()
    return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()


def xml(fields: Mapping[str, str], top: str = "xml") -> bytes:
    """As WeChat Pay lays it out: texts in CDATA, numbers bare, a line each."""
    lines = [f"<{name}>{value if value.isdigit() else _cdata(value)}</{name}>" for name, value in fields.items()]
    return "\n".join([f"<{top}>", *lines, f"</{top}>"]).encode()


def _cdata(value: str) -> str:
    return f"<![CDATA[{value}]]>"


def sealed_info(api_key: str, plain: bytes) -> str:
    """AES-256 block by block, padded as PKCS #7 says, under the key's MD5 written in small letters."""
    key = hashlib.md5(api_key.encode(), usedforsecurity=False).hexdigest().encode()
    pad = AES_BLOCK_BYTES - len(plain) % AES_BLOCK_BYTES
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - WeChat Pay's own
    return b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()


def compact(at: datetime) -> str:
    """20261005200000."""
    return f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}"


def refund_id_of(refund_ref: str) -> str:
    """WeChat Pay's own number for a refund."""
    return f"5030{int(hashlib.sha256(refund_ref.encode()).hexdigest(), 16) % 10**24:024d}"


class WeChatPayV2Api:
    """One merchant's: orderquery and refundquery."""

    def __init__(self, voice: WeChatPayV2Voice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query.  What is wrong at the door is told without a signature."""
        asked = dict(_FIELD.findall(put.body.decode(errors="replace")))
        if asked.get("sign") != sign(asked, self._voice.api_key, self._voice.sign_type):
            return _door("签名失败")
        if {name: asked[name] for name in ("appid", "mch_id", "sub_mch_id") if name in asked} != self._voice.named():
            return _door("appid和mch_id不匹配")
        match put.method, put.path:
            case "POST", "/pay/orderquery":
                return self._payment(asked, knows_at)
            case "POST", "/pay/refundquery":
                return self._refunds(asked, knows_at)
            case _:
                return Told(status=404, body=b"", about="nothing", said="no such address")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """WeChat Pay's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return self._failed("FREQUENCY_LIMITED", "频率限制", about="nothing")
        return self._failed("SYSTEMERROR", "系统错误", about="nothing")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Signed, but for what is wrong at the door."""
        headers = {"Content-Type": "text/xml; charset=utf-8", "Date": http_date(now), **told.headers}
        fields: Fields = json.loads(told.body) if told.body else {}
        if "nonce_str" in fields:
            key = f"{self._voice.api_key}, not" if forged else self._voice.api_key
            fields["sign"] = sign(fields, key, self._voice.sign_type)
        return Sealed(status=told.status, headers=headers, body=xml(fields))

    def _payment(self, asked: Fields, knows_at: datetime) -> Told:
        """By WeChat Pay's number, which exists from the payment on, or by the order's."""
        if transaction_id := asked.get("transaction_id"):
            ref, books = transaction_id, self._ledger.payment(self.account, transaction_id, knows_at)
            books = None if books is None or books.paid_at is None else books
        else:
            ref = asked.get("out_trade_no", "")
            books = self._ledger.payments_of_order(self.account, ref, knows_at)
        if books is None:
            return self._failed("ORDERNOTEXIST", "订单不存在", about="payment", ref=ref)
        state = books.word if books.word in DEDUCTIONS else TRADE_STATES[books.state]
        state = "REFUND" if books.refunds else state
        return self._told(self._trade(books, state), about="payment", ref=ref, books=books, said=state)

    def _trade(self, books: Known, state: str) -> Fields:
        told = {
            "out_trade_no": books.story.order_ref,
            "trade_state": state,
            "trade_state_desc": "",
            "total_fee": str(books.captured or books.story.amount),
        }
        if books.paid_at is None:
            return told
        return told | {
            "transaction_id": books.story.payment_ref,
            "trade_type": "JSAPI",
            "bank_type": "CMB_DEBIT",
            "fee_type": "CNY",
            "cash_fee": str(books.captured),
            "time_end": compact(books.paid_at),
        }

    def _refunds(self, asked: Fields, knows_at: datetime) -> Told:
        """One by the merchant's number, or all of a transaction."""
        ref, number = asked.get("out_refund_no", ""), asked.get("transaction_id", "")
        books = (
            self._ledger.payment_of_refund(self.account, ref, knows_at)
            if ref
            else self._ledger.payment(self.account, number, knows_at)
        )
        refunds = () if books is None else tuple(it for it in books.refunds if ref in {"", it.refund_ref})
        if books is None or not refunds:
            return self._failed("REFUNDNOTEXIST", "退款单不存在", about="refund", ref=ref or number)
        told = {
            "transaction_id": books.story.payment_ref,
            "out_trade_no": books.story.order_ref,
            "total_fee": str(books.captured),
            "fee_type": "CNY",
            "refund_count": str(len(refunds)),
        }
        for at, refund in enumerate(refunds):
            told |= {f"{name}_{at}": value for name, value in _refund(refund).items()}
        return self._told(told, about="refund", ref=ref or number, books=books, said=told["refund_status_0"])

    def _told(self, fields: Fields, *, about: str, ref: str, books: Known, said: str) -> Told:
        body = json.dumps(self._common() | {"result_code": "SUCCESS"} | fields).encode()
        return Told(body=body, about=about, ref=ref, order_ref=books.story.order_ref, said=said)

    def _failed(self, code: str, words: str, *, about: str, ref: str = "") -> Told:
        told = self._common() | {"result_code": "FAIL", "err_code": code, "err_code_des": words}
        return Told(body=json.dumps(told).encode(), about=about, ref=ref, said=code)

    def _common(self) -> Fields:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        return {"return_code": "SUCCESS", "return_msg": "OK", **self._voice.named(), "nonce_str": nonce}


DEDUCTIONS: Final = frozenset({ACCEPTED_DEDUCTION, FAILED_DEDUCTION})


def _refund(refund: KnownRefund) -> Fields:
    told = {
        "out_refund_no": refund.refund_ref,
        "refund_id": refund_id_of(refund.refund_ref),
        "refund_channel": "ORIGINAL",
        "refund_fee": str(refund.amount),
        "refund_status": refund.word.removeprefix(REFUND),
        "refund_recv_accout": "支付用户零钱",
    }
    if refund.state is RefundState.SUCCEEDED:
        told["refund_success_time"] = f"{refund.at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
    return told


_FIELD: Final = re.compile(r"<(\w+)>(?:<!\[CDATA\[)?([^<\]]*)(?:\]\]>)?</\1>")


def _door(words: str) -> Told:
    body = json.dumps({"return_code": "FAIL", "return_msg": words}).encode()
    return Told(body=body, about="nothing", said="return_code FAIL")


def new_voice(account: str) -> WeChatPayV2Voice:
    """A merchant with a fresh key."""
    return WeChatPayV2Voice(
        account=account, mch_id="1900000109", app_id="wx8888888888888889", api_key=secrets.token_hex(16)
    )


def _impostor(voice: Voice) -> Voice:
    return msgspec.structs.replace(cast("WeChatPayV2Voice", voice), api_key=secrets.token_hex(16))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    ours = cast("WeChatPayV2Voice", voice)
    return {
        "mch_id": ours.mch_id,
        "app_id": ours.app_id,
        "api_key": Kept(ours.api_key),
        "sign_type": ours.sign_type,
        **({} if ours.sub_mch_id is None else {"sub_mch_ids": [ours.sub_mch_id]}),
    }


def _renamed(story: Story, happening: Happening) -> str:
    """The transaction's number; behind that of an attempt that failed, why and when."""
    if happening.word == PAID:
        return story.payment_ref
    word = DECLINED_CODE if happening.word == DECLINED else happening.word
    return f"{story.payment_ref}:{word}:{compact(happening.at)}"


PLAY: Final = Play(
    gateway="wechatpay_v2",
    words=WORDS,
    fetched=frozenset(word for word in WORDS if word.startswith(REFUND)),
    renamed=_renamed,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="42000001",
    new_voice=new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: WeChatPayV2Api(cast("WeChatPayV2Voice", voice), ledger),
)
