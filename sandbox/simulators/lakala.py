"""A simulated Lakala: its cashier, whose notices are signed over time, nonce and body."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import ClassVar, Final, cast

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

SHANGHAI: Final = timezone(timedelta(hours=8))
SCHEME: Final = "LKLAPI-SHA256withRSA"
PAID: Final = "PAY.S"
DECLINED: Final = "PAY.F"
PAYING: Final = "PAY.P"
EXPIRED: Final = "ORDER.4"
CANCELLED: Final = "ORDER.5"
UNTOLD: Final = "ORDER.6"  # some of it went back, in a notice that shows the payment

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    PAYING: PaymentState.PENDING,
    PAID: PaymentState.SUCCEEDED,
    DECLINED: PaymentState.FAILED,
    EXPIRED: PaymentState.CANCELLED,
    CANCELLED: PaymentState.CANCELLED,
    "REFUND.P": RefundState.PENDING,
    "REFUND.S": RefundState.SUCCEEDED,
    "REFUND.F": RefundState.FAILED,
    UNTOLD: RefundState.SUCCEEDED,
}
ORDER_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "0",
    PaymentState.PENDING: "1",
    PaymentState.SUCCEEDED: "2",
    PaymentState.FAILED: "3",
    PaymentState.CANCELLED: "4",
}
PAY_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.PENDING: "P",
    PaymentState.SUCCEEDED: "S",
    PaymentState.FAILED: "F",
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "P",
    RefundState.SUCCEEDED: "S",
    RefundState.FAILED: "F",
}

TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(Event(PAID),), status=Status.PAID, paid=ALL),
    Template(name="paid after a while", weight=8, events=(Event(PAYING), Event(PAID)), status=Status.PAID, paid=ALL),
    Template(name="being paid", weight=3, events=(Event(PAYING),), status=Status.PROCESSING),
    Template(name="never paid", weight=4, events=(Event(EXPIRED),), status=Status.FAILED),
    Template(name="called off", weight=3, events=(Event(CANCELLED),), status=Status.FAILED),
    Template(name="declined", weight=5, events=(Event(PAYING), Event(DECLINED)), status=Status.FAILED),
    Template(
        name="declined, then paid",
        weight=8,
        events=(Event(DECLINED), Event(PAID, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=8,
        events=(Event(PAID), Event("REFUND.P", 2, "1"), Event("REFUND.S", 2, "1", after_s=AT_ONCE_S)),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        events=(Event(PAID), Event("REFUND.S", 4, "1"), Event("REFUND.S", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event(PAID), Event("REFUND.S", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back, of which only the order tells",
        weight=4,
        events=(Event(PAID), Event(UNTOLD, 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="being given back",
        weight=4,
        events=(Event(PAID), Event("REFUND.P", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that failed",
        weight=4,
        events=(Event(PAID), Event("REFUND.P", 5, "1"), Event("REFUND.F", 5, "1")),
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


class LakalaSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Lakala's, with the platform's key and the merchant's, which signs queries."""

    gateway: ClassVar[str] = "lakala"
    pays: ClassVar[str] = PAID
    signs_time: ClassVar[bool] = False  # it signs one, and nothing says how old it may be
    amount_follows: ClassVar[bytes | None] = b'"trade_amount":'

    account: str
    merchant_no: str
    app_id: str
    serial: str
    key: RSAPrivateKey
    merchant_key: RSAPrivateKey

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """The same notice each time, signed anew."""
        return self.sent(written(self.notice(story, event)), now=now, nonce=nonce_of(event.event_id, again))

    def sent(self, body: bytes, *, now: datetime, nonce: str = "9003323344") -> Signed:
        """A POST of this body, signed."""
        timestamp = str(int(now.timestamp()))
        signature = sign(self.key, (timestamp, nonce), body)
        content = f'timestamp="{timestamp}", nonce_str="{nonce}", signature="{signature}"'
        return {"Content-Type": "application/json", "Authorization": f"{SCHEME} {content}"}, body

    def notice(self, story: Story, event: StoryEvent) -> Json:
        """The order, and the one trade that the notice is about."""
        kind, _, status = event.event_type.partition(".")
        if event.event_type == UNTOLD:
            trade = pay_trade(story, story.amount, "S", event.at)
            return self.order(story, UNTOLD[-1]) | {"order_trade_info": trade}
        if kind == "ORDER":
            return self.order(story, status)
        if kind == "REFUND":
            trade = refund_trade(story, event.refund_ref, event.amount, status, event.at)
            return self.order(story, "6") | {"order_trade_info": trade}
        order_status = ORDER_STATUSES[cast("PaymentState", EVENT_TYPES[event.event_type])]
        trade = pay_trade(story, event.amount, status, event.at)
        return self.order(story, order_status) | {"order_trade_info": trade}

    def order(self, story: Story, status: str) -> Json:
        """What an order says whatever became of it."""
        return {
            "pay_order_no": pay_order_no(story),
            "out_order_no": story.order_ref,
            "channel_id": "15",
            "trans_merchant_no": self.merchant_no,
            "trans_term_no": "D0060389",
            "merchant_no": self.merchant_no,
            "term_no": "D0060389",
            "order_status": status,
            "order_info": "till",
            "total_amount": story.amount,
            "order_create_time": compact(story.started_at),
            "order_efficient_time": compact(story.started_at + timedelta(hours=1)),
        }


def pay_trade(story: Story, amount: int, status: str, at: datetime) -> Json:
    """A payment's trade."""
    return _trade(story.payment_ref, "PAY", amount, status, at)


def refund_trade(story: Story, refund_ref: str, amount: int, status: str, at: datetime) -> Json:
    """A refund's trade, known by Lakala's number for it."""
    return _trade(refund_ref, "REFUND", amount, status, at) | {"origin_trade_no": story.payment_ref}


def _trade(trade_no: str, kind: str, amount: int, status: str, at: datetime) -> Json:
    return {
        "trade_no": trade_no,
        "log_no": hashlib.sha256(trade_no.encode()).hexdigest()[:14],
        "trade_type": kind,
        "trade_status": status,
        "trade_amount": amount,
        "payer_amount": amount,
        "busi_type": "SCPAY",
        "trade_time": "" if status == "P" else compact(at),
        "acc_trade_no": "2022011822001470651424354488",
        "acc_type": "00",
        "pay_mode": "ALIPAY",
        "result_desc": "余额不足" if status == "F" else "",
    }


def sign(key: RSAPrivateKey, lines: tuple[str, ...], body: bytes) -> str:
    """RSA over the lines and the body, each with its line end, in base64."""
    signed = b"".join(it + b"\n" for it in (*(line.encode() for line in lines), body))
    return b64encode(key.sign(signed, PKCS1v15(), SHA256())).decode()


def written(fields: Json) -> bytes:
    """The fields as JSON."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def compact(at: datetime) -> str:
    """20261005200000."""
    return f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}"


def nonce_of(event_id: str, again: int) -> str:
    """Twelve characters."""
    return hashlib.sha256(f"{event_id}{again}".encode()).hexdigest()[:12]


def pay_order_no(story: Story) -> str:
    """Lakala's number for the order, which is not that of a payment."""
    return f"2109{int(hashlib.sha256(story.order_ref.encode()).hexdigest()[:20], 16):025d}"[:29]


def certificate_of(
    key: RSAPrivateKey,
    *,
    since: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    until: datetime = datetime(2050, 1, 1, tzinfo=UTC),
) -> str:
    """A certificate of this key, as PEM."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox lkl-apigw")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    numbered = builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
    return numbered.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


class LakalaApi:
    """One merchant's: the cashier's order query."""

    def __init__(self, signer: LakalaSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if not self._is_signed(request):
            return self._failed("GW0001", "验签失败")
        if (request.method, request.path) != ("POST", "/api/v3/ccss/counter/order/query"):
            return ApiResponse(status=404, body=b"{}", about="nothing", summary="no such address")
        asked = json.loads(request.body)["req_data"]
        ref = str(asked.get("out_order_no", ""))
        record = self._ledger.payment_of_order(self.account, ref, as_of)
        if record is None or asked.get("merchant_no") != self._signer.merchant_no:
            return self._failed("000002", "订单不存在", about="payment", ref=ref)
        content = self._order(record)
        return ApiResponse(
            body=written({"msg": "操作成功", "resp_time": compact(as_of), "code": "000000", "resp_data": content}),
            about="payment",
            ref=ref,
            order_ref=ref,
            summary=str(content["order_status"]),
        )

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Lakala's words for trouble of its own."""
        return msgspec.structs.replace(self._failed("BBS10000", "系统繁忙"), status=status)

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Signed over five lines, in headers of its own; their values are quoted."""
        ours = self._signer
        lines = (ours.app_id, "00dfba8194c41b84cf", str(int(now.timestamp())), nonce_of(content.ref, 0))
        names = ("Lklapi-Appid", "Lklapi-Serial", "Lklapi-Timestamp", "Lklapi-Nonce", "Lklapi-Signature")
        signature = sign(_new_key() if forged else ours.key, lines, content.body)
        signed = {name: f'"{value}"' for name, value in zip(names, (*lines, signature), strict=True)}
        headers = {"Content-Type": "application/json", "Date": http_date(now), **signed, **content.headers}
        return SignedResponse(status=content.status, headers=headers, body=content.body)

    def _is_signed(self, request: ApiRequest) -> bool:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        content = {name: value.strip('"') for name, _, value in (it.partition("=") for it in rest.split(","))}
        names = ("appid", "serial_no", "timestamp", "nonce_str")
        lines = [content.get(name, "") for name in names]
        if scheme != SCHEME or lines[:2] != [self._signer.app_id, self._signer.serial]:
            return False
        signed = "".join(f"{it}\n" for it in lines).encode() + request.body + b"\n"
        try:
            signature = b64decode(content.get("signature", ""), validate=True)
            self._signer.merchant_key.public_key().verify(signature, signed, PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return False
        return True

    def _order(self, record: PaymentRecord) -> Json:
        """The trades, newest first."""
        story = record.story
        trades = [
            refund_trade(story, it.refund_ref, it.amount, REFUND_STATUSES[it.state], it.at) for it in record.refunds
        ]
        if record.state in PAY_STATUSES:
            amount, at = record.captured or story.amount, record.paid_at or record.at
            trades.append(pay_trade(story, amount, PAY_STATUSES[record.state], at))
        status = "6" if record.refunds else ORDER_STATUSES[record.state]
        return self._signer.order(story, status) | {"order_trade_info_list": trades}

    def _failed(self, code: str, event_types: str, *, about: str = "nothing", ref: str = "") -> ApiResponse:
        return ApiResponse(body=written({"code": code, "msg": event_types}), about=about, ref=ref, summary=event_types)


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def new_signer(account: str) -> LakalaSigner:
    """A merchant with fresh keys on both sides."""
    return LakalaSigner(
        account=account,
        merchant_no="82216205947000G",
        app_id="OP00000003",
        serial="00dfba8194c41b84cf",
        key=_new_key(),
        merchant_key=_new_key(),
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("LakalaSigner", signer), key=_new_key())


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("LakalaSigner", signer)
    private = ours.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "merchant_no": ours.merchant_no,
        "platform_cert": Secret(certificate_of(ours.key)),
        "cashier": True,
        "app_id": ours.app_id,
        "merchant_serial": ours.serial,
        "merchant_private_key": Secret(private.decode()),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """The trade's number and what became of it; or the order's, which nobody tried to pay."""
    kind, _, status = event.event_type.partition(".")
    if kind == "ORDER":
        return f"{pay_order_no(story)}:order:{status}"
    return f"{story.payment_ref if kind == 'PAY' else event.refund_ref}:{kind}:{status}"


SIMULATOR: Final = Simulator(
    gateway="lakala",
    event_types=EVENT_TYPES,
    fetched=frozenset({UNTOLD}),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="2026100566210",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: LakalaApi(cast("LakalaSigner", signer), ledger),
)
