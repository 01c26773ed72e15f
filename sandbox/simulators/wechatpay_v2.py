"""A simulated WeChat Pay v2: XML signed with a shared key, refund notices encrypted and not signed."""

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

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.statuses import Status

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

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=40, events=(Event(PAID),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(name="declined", weight=5, events=(Event(DECLINED),), status=Status.FAILED),
    Template(
        name="a deduction that failed",
        weight=4,
        events=(Event(ACCEPTED_DEDUCTION), Event(FAILED_DEDUCTION)),
        status=Status.FAILED,
    ),
    Template(
        name="a deduction", weight=4, events=(Event(ACCEPTED_DEDUCTION), Event(PAID)), status=Status.PAID, paid=ALL
    ),
    Template(name="declined, then paid", weight=8, events=(Event(DECLINED), Event(PAID)), status=Status.PAID, paid=ALL),
    Template(
        name="a part given back",
        weight=10,
        events=(Event(PAID), Event("REFUND.SUCCESS", 2, "1")),
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
        name="a refund that the payer's card does not take",
        weight=5,
        events=(Event(PAID), Event("REFUND.CHANGE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        events=(Event(PAID), Event("REFUND.REFUNDCLOSE", 5, "1")),
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


class WeChatPayV2Signer(msgspec.Struct, frozen=True, kw_only=True):
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

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same notice each time: nothing in it tells when it was sent."""
        if event.event_type.startswith(REFUND):
            return self.sent(self.refund_notice(self.refund(story, event)), signed=False)
        return self.sent(self.payment(story, event))

    def sent(self, fields: Fields, *, signed: bool = True) -> Signed:
        """A POST of these fields."""
        return {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"}, xml(self.signed(fields) if signed else fields)

    def signed(self, fields: Fields) -> Fields:
        """The fields with their signature."""
        return fields | {"sign": sign(fields, self.api_key, self.sign_type)}

    def payment(self, story: Story, event: StoryEvent) -> Fields:
        """A payment that succeeded, or that was declined."""
        content = self._common() | {
            "result_code": DECLINED if event.event_type == DECLINED else PAID,
            "openid": f"oUpF8u{story.order_ref}",
            "is_subscribe": "N",
            "trade_type": "JSAPI",
            "bank_type": "CMB_DEBIT",
            "fee_type": "CNY",
            "attach": "",
            "total_fee": str(event.amount),
            "cash_fee": str(event.amount),
            "transaction_id": story.payment_ref,
            "out_trade_no": story.order_ref,
            "time_end": compact(event.at),
        }
        if event.event_type == DECLINED:
            content |= {"err_code": DECLINED_CODE, "err_code_des": "余额不足"}
        if event.event_type in {ACCEPTED_DEDUCTION, FAILED_DEDUCTION}:
            content |= {"trade_state": event.event_type, "contract_id": "100005698"}
        return content

    def refund(self, story: Story, event: StoryEvent) -> Fields:
        """What is encrypted in a refund's notice."""
        return {
            "out_refund_no": event.refund_ref,
            "out_trade_no": story.order_ref,
            "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
            "refund_fee": str(event.amount),
            "refund_id": refund_id_of(event.refund_ref),
            "refund_recv_accout": "支付用户零钱",
            "refund_request_source": "API",
            "refund_status": event.event_type.removeprefix(REFUND),
            "settlement_refund_fee": str(event.amount),
            "settlement_total_fee": str(story.amount),
            "success_time": f"{event.at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
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

    def __init__(self, signer: WeChatPayV2Signer, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query.  What is wrong at the door is told without a signature."""
        asked = dict(_FIELD.findall(request.body.decode(errors="replace")))
        if asked.get("sign") != sign(asked, self._signer.api_key, self._signer.sign_type):
            return _door("签名失败")
        if {name: asked[name] for name in ("appid", "mch_id", "sub_mch_id") if name in asked} != self._signer.named():
            return _door("appid和mch_id不匹配")
        match request.method, request.path:
            case "POST", "/pay/orderquery":
                return self._payment(asked, as_of)
            case "POST", "/pay/refundquery":
                return self._refunds(asked, as_of)
            case _:
                return ApiResponse(status=404, body=b"", about="nothing", summary="no such address")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """WeChat Pay's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return self._failed("FREQUENCY_LIMITED", "频率限制", about="nothing")
        return self._failed("SYSTEMERROR", "系统错误", about="nothing")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Signed, but for what is wrong at the door."""
        headers = {"Content-Type": "text/xml; charset=utf-8", "Date": http_date(now), **content.headers}
        fields: Fields = json.loads(content.body) if content.body else {}
        if "nonce_str" in fields:
            key = f"{self._signer.api_key}, not" if forged else self._signer.api_key
            fields["sign"] = sign(fields, key, self._signer.sign_type)
        return SignedResponse(status=content.status, headers=headers, body=xml(fields))

    def _payment(self, asked: Fields, as_of: datetime) -> ApiResponse:
        """By WeChat Pay's number, which exists from the payment on, or by the order's."""
        if transaction_id := asked.get("transaction_id"):
            ref, record = transaction_id, self._ledger.payment(self.account, transaction_id, as_of)
            record = None if record is None or record.paid_at is None else record
        else:
            ref = asked.get("out_trade_no", "")
            record = self._ledger.payment_of_order(self.account, ref, as_of)
        if record is None:
            return self._failed("ORDERNOTEXIST", "订单不存在", about="payment", ref=ref)
        state = record.event_type if record.event_type in DEDUCTIONS else TRADE_STATES[record.state]
        state = "REFUND" if record.refunds else state
        return self._response(self._trade(record, state), about="payment", ref=ref, record=record, summary=state)

    def _trade(self, record: PaymentRecord, state: str) -> Fields:
        content = {
            "out_trade_no": record.story.order_ref,
            "trade_state": state,
            "trade_state_desc": "",
            "total_fee": str(record.captured or record.story.amount),
        }
        if record.paid_at is None:
            return content
        return content | {
            "transaction_id": record.story.payment_ref,
            "trade_type": "JSAPI",
            "bank_type": "CMB_DEBIT",
            "fee_type": "CNY",
            "cash_fee": str(record.captured),
            "time_end": compact(record.paid_at),
        }

    def _refunds(self, asked: Fields, as_of: datetime) -> ApiResponse:
        """One by the merchant's number, or all of a transaction."""
        ref, number = asked.get("out_refund_no", ""), asked.get("transaction_id", "")
        record = (
            self._ledger.payment_of_refund(self.account, ref, as_of)
            if ref
            else self._ledger.payment(self.account, number, as_of)
        )
        refunds = () if record is None else tuple(it for it in record.refunds if ref in {"", it.refund_ref})
        if record is None or not refunds:
            return self._failed("REFUNDNOTEXIST", "退款单不存在", about="refund", ref=ref or number)
        content = {
            "transaction_id": record.story.payment_ref,
            "out_trade_no": record.story.order_ref,
            "total_fee": str(record.captured),
            "fee_type": "CNY",
            "refund_count": str(len(refunds)),
        }
        for at, refund in enumerate(refunds):
            content |= {f"{name}_{at}": value for name, value in _refund(refund).items()}
        return self._response(
            content, about="refund", ref=ref or number, record=record, summary=content["refund_status_0"]
        )

    def _response(self, fields: Fields, *, about: str, ref: str, record: PaymentRecord, summary: str) -> ApiResponse:
        body = json.dumps(self._common() | {"result_code": "SUCCESS"} | fields).encode()
        return ApiResponse(body=body, about=about, ref=ref, order_ref=record.story.order_ref, summary=summary)

    def _failed(self, code: str, event_types: str, *, about: str, ref: str = "") -> ApiResponse:
        content = self._common() | {"result_code": "FAIL", "err_code": code, "err_code_des": event_types}
        return ApiResponse(body=json.dumps(content).encode(), about=about, ref=ref, summary=code)

    def _common(self) -> Fields:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        return {"return_code": "SUCCESS", "return_msg": "OK", **self._signer.named(), "nonce_str": nonce}


DEDUCTIONS: Final = frozenset({ACCEPTED_DEDUCTION, FAILED_DEDUCTION})


def _refund(refund: RefundRecord) -> Fields:
    content = {
        "out_refund_no": refund.refund_ref,
        "refund_id": refund_id_of(refund.refund_ref),
        "refund_channel": "ORIGINAL",
        "refund_fee": str(refund.amount),
        "refund_status": refund.event_type.removeprefix(REFUND),
        "refund_recv_accout": "支付用户零钱",
    }
    if refund.state is RefundState.SUCCEEDED:
        content["refund_success_time"] = f"{refund.at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
    return content


_FIELD: Final = re.compile(r"<(\w+)>(?:<!\[CDATA\[)?([^<\]]*)(?:\]\]>)?</\1>")


def _door(event_types: str) -> ApiResponse:
    body = json.dumps({"return_code": "FAIL", "return_msg": event_types}).encode()
    return ApiResponse(body=body, about="nothing", summary="return_code FAIL")


def new_signer(account: str) -> WeChatPayV2Signer:
    """A merchant with a fresh key."""
    return WeChatPayV2Signer(
        account=account, mch_id="1900000109", app_id="wx8888888888888889", api_key=secrets.token_hex(16)
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("WeChatPayV2Signer", signer), api_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("WeChatPayV2Signer", signer)
    return {
        "mch_id": ours.mch_id,
        "app_id": ours.app_id,
        "api_key": Secret(ours.api_key),
        "sign_type": ours.sign_type,
        **({} if ours.sub_mch_id is None else {"sub_mch_ids": [ours.sub_mch_id]}),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """The transaction's number; behind that of an attempt that failed, why and when."""
    if event.event_type == PAID:
        return story.payment_ref
    event_type = DECLINED_CODE if event.event_type == DECLINED else event.event_type
    return f"{story.payment_ref}:{event_type}:{compact(event.at)}"


SIMULATOR: Final = Simulator(
    gateway="wechatpay_v2",
    event_types=EVENT_TYPES,
    fetched=frozenset(event_type for event_type in EVENT_TYPES if event_type.startswith(REFUND)),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="42000001",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: WeChatPayV2Api(cast("WeChatPayV2Signer", signer), ledger),
)
