"""Lakala's open platform: RSA over time, nonce and body, a line each; three families of notices.

Sources: o.lakala.com documents 1004 (signing), 1009 (signing of notices, with a sample), 1112 (aggregated trade notice)
and its page "收银台订单通知" (cashier); the Java SDK zkmio/lakala-sdk, which is on no registry.  What fields say is in
`lakala_objects`, what is asked in `lakala_asking`.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import AfterValidator, Field

from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import (
    ROTATED_MAX,
    AccountModel,
    ApiBase,
    OptionalPrivateKey,
    rsa_certificate,
    rsa_private_key,
)
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import moment_from_unix, reference_or_none, text
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.lakala import api, objects
from tillkeeper.gateways.lakala.objects import Notice
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified

AUTHORIZATION: Final = "authorization"
SIGNATURE_HEADER: Final = "lklapi-signature"
SIGNED_HEADERS: Final = ("lklapi-appid", "lklapi-serial", "lklapi-timestamp", "lklapi-nonce")
SIGNATURE_CHARS_MAX: Final = 1024  # RSA of 4,096 bits makes 684

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_PAIR: Final = r'[a-z_]{1,32}="[^"]{0,1024}"'
_AUTHORIZATION: Final = re.compile(
    rf"\s*{api.SCHEME}\s*({_PAIR}(?:\s*,\s*{_PAIR}){{0,7}})\s*", re.ASCII
)  # the official sample has no space behind the scheme, and line ends behind commas
_PAIRS: Final = re.compile(r'([a-z_]+)="([^"]*)"', re.ASCII)
_TIMESTAMP: Final = re.compile(r"\d{1,19}", re.ASCII)
_NONCE: Final = re.compile(r"[!-~]{1,64}", re.ASCII)  # a line end in it would let a body be passed off as nonce


class Trusted(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of Lakala's, and when it holds."""

    label: str
    key: RSAPublicKey
    valid_from: datetime
    valid_until: datetime


def _trusted(pems: str) -> tuple[Trusted, ...]:
    """Each certificate of a text, once.  Raises ValueError."""
    found = _CERTIFICATE.findall(pems) or [pems]
    if len(found) > ROTATED_MAX:
        raise ValueError(f"platform_cert holds more than {ROTATED_MAX} certificates")
    return tuple(_certificate(pem) for pem in dict.fromkeys(found))


def _certificate(pem: str) -> Trusted:
    serial, key = rsa_certificate(pem)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return Trusted(
        label=f"platform_cert:{serial:x}",
        key=key,
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
    )


def _check_certificates(pems: str) -> str:
    _trusted(pems)
    return pems


_Certificates = Annotated[str, Field(repr=False), AfterValidator(_check_certificates)]
_Number = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]


class LakalaSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "lakala"`."""

    gateway: Literal["lakala"]
    merchant_no: _Number = Field(description="The merchant number (商户号).  Notices for another count for nothing.")
    platform_cert: _Certificates = Field(
        description="Lakala's platform certificate (拉卡拉平台证书), as PEM; old and new one after the other while it "
        "is renewed.  Test and production have one each."
    )
    cashier: bool = Field(
        default=False,
        description="True where orders are made at the cashier (收银台, ccss).  It decides where questions go.",
    )
    term_no: _Number | None = Field(
        default=None, description="The terminal number (终端号), which questions need unless orders are the cashier's."
    )
    app_id: _Number | None = Field(default=None, description="The app id (appid, OP...), which questions name.")
    merchant_serial: _Number | None = Field(
        default=None, description="The serial number of the merchant's certificate (serial_no), which questions name."
    )
    merchant_private_key: OptionalPrivateKey = Field(
        default=None, description="That certificate's private key, as PEM, which signs questions."
    )
    api_base: ApiBase = "https://s2.lakala.com"


ABOUT: Final = About(
    title="Lakala open platform",
    title_zh="拉卡拉",
    verifies="RSA-SHA256 over time, nonce and body, with a platform certificate that is valid now.  No tolerance of "
    "the signed time is documented, nor whether a repetition is signed anew, so that any time is taken",
    dedupes_by="`trade_no` and its status, which every repetition shares",
    acknowledges='200 with `{"code":"SUCCESS","message":"执行成功"}`',
    queries="payments and refunds by Lakala's number, payments by the order reference; at the cashier always by the "
    "order.  Answers' signatures are verified.  Needs `app_id`, `merchant_serial`, `merchant_private_key`",
    refunds_seen="that all went back, or that a part did: then refunds that are known are asked about, or a case "
    "tells it",
    checked="documents only, for no registry has an official package; the shape of the official sample is a test.  "
    "Unsure: codes of errors (only words are used), whether the time is signed anew, what a refund's notice of the "
    "aggregated payments carries (its own amount is taken from `refund_amount` alone), the meaning of REVOKED",
    sources=("o.lakala.com documents 1004, 1009, 1111, 1112", "its pages 收银台订单通知 and 收银台订单查询"),
)


class Lakala(Gateway):
    """One merchant number at Lakala."""

    name: ClassVar[str] = "lakala"
    settings: ClassVar[type[AccountModel]] = LakalaSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({AUTHORIZATION, "content-type"})  # a signature, no secret

    def __init__(self, account: str, settings: LakalaSettings) -> None:
        self.account = account
        self._merchant = settings
        self._trusted = _trusted(settings.platform_cert)
        self._signer = _signer(settings)

    def verify(self, request: Request, now: datetime) -> Verified:
        """Any signed time is taken: what repeats is known by its event's id."""
        told = _authorization(request.header(AUTHORIZATION))
        signed = f"{told['timestamp']}\n{told['nonce_str']}\n".encode() + request.body + b"\n"
        label = self._signed_by(told["signature"], signed, now)
        return Verified(key=label, content=Notice(_object(request.body), moment_from_unix(int(told["timestamp"]))))

    def key_labels(self) -> tuple[str, ...]:
        """By serial number."""
        return tuple(it.label for it in self._trusted)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Mostly one event; two where a payment is told together with what became of it."""
        notice = cast("Notice", verified.content)
        if not self._is_taken(notice.fields) or self._is_asked_about(notice.fields):
            return ()
        events = objects.events_of(self.account, notice.fields, notice.heard_at)
        for event in events:
            if problem := problem_with(event):
                raise BadPayload(problem)
        return events

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The order of a notice that tells of money given back, and not which."""
        fields = cast("Notice", verified.content).fields
        if not self._is_taken(fields) or not self._is_asked_about(fields):
            return ()
        order_ref = reference_or_none(text(fields, "out_order_no"))
        if order_ref is None:
            raise BadPayload("out_order_no has characters that we do not ask with")
        return (Query(about="payment", order_ref=order_ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The order and payment that a notice names."""
        try:
            fields = strictjson.loads_unsigned(request.body)
        except BadPayload:
            return None
        if not isinstance(fields, dict):
            return None
        order_ref = _first(fields, ("out_order_no", "origin_out_trade_no", "out_trade_no", "merchantOrderNo"))
        payment_ref = _first(fields, ("origin_trade_no", "trade_no", "lklOrderNo"))
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def acknowledge(self) -> Reply:
        """The form that Lakala asks for."""
        return _reply(200, '{"code":"SUCCESS","message":"执行成功"}')

    def refuse(self, status: int) -> Reply:
        """The same form."""
        return _reply(status, '{"code":"FAIL","message":"refused"}')

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:
        """By Lakala's own number where it is known, else by the order's; at the cashier by the order's always."""
        if self._signer is None:
            raise CannotQuery("app_id, merchant_serial and merchant_private_key are not all set")
        return self._signer.call(self._merchant.api_base, query, now, nonce)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What a signed answer to this query says."""
        check_status(response)
        is_signed = SIGNATURE_HEADER in response.headers
        if is_signed:
            self._check_answer(response, now)
        data = api.data_in(response.body, is_signed=is_signed)
        if data is None:
            return Answer(found=False)
        if not is_signed:
            raise BadSignature("the answer is not signed", VerificationStep.HEADER)
        if not self._is_ours(data):
            raise BadPayload("the answer is about another merchant's payment")
        tell = api.order_told if self._merchant.cashier else api.trade_told
        events = tell(self.account, query, data, answered_at(response, now))
        if events is None:
            return Answer(found=False)
        return Answer(found=True, events=tuple(queried(it) for it in events))

    def _signed_by(self, signature: str, signed: bytes, now: datetime) -> str:
        """The label of the certificate that it is signed with."""
        valid = [it for it in self._trusted if it.valid_from <= now <= it.valid_until]
        if not valid:
            raise BadSignature(
                "no certificate of platform_cert is valid at this time; was it renewed?", VerificationStep.KEY
            )
        raw = _signature_bytes(signature)
        for trusted in valid:
            try:
                trusted.key.verify(raw, signed, PKCS1v15(), SHA256())
            except InvalidSignature:
                continue
            return trusted.label
        raise BadSignature("the signature is not by a certificate of platform_cert")

    def _check_answer(self, response: Response, now: datetime) -> None:
        """Five lines, of headers that are sometimes quoted."""
        request = Request(headers=response.headers, body=response.body)
        lines = [request.header(name).strip().strip('"') for name in SIGNED_HEADERS]
        if lines[0] != self._merchant.app_id or not all(_NONCE.fullmatch(it) for it in lines):
            raise BadSignature("a header of the answer names another app, or cannot be read", VerificationStep.HEADER)
        signed = "".join(f"{it}\n" for it in lines).encode() + response.body + b"\n"
        self._signed_by(request.header(SIGNATURE_HEADER).strip().strip('"'), signed, now)

    def _is_taken(self, fields: Mapping[str, object]) -> bool:
        """Ours, and about a payment: splits of money (分账) and contracts are not."""
        return (objects.is_of_payments(fields) or not fields) and self._is_ours(fields)

    def _is_ours(self, fields: Mapping[str, object]) -> bool:
        return objects.merchant_of(fields) == self._merchant.merchant_no

    def _is_asked_about(self, fields: Mapping[str, object]) -> bool:
        return self._signer is not None and self._merchant.cashier and objects.is_refunded_untold(fields)


def _authorization(header: str) -> dict[str, str]:
    """Its time, nonce and signature, each of them once, in whatever order and spacing."""
    found = _AUTHORIZATION.fullmatch(header)
    pairs = _PAIRS.findall(found[1]) if found else []
    told = dict(pairs)
    if len(told) != len(pairs) or not told.keys() >= {"timestamp", "nonce_str", "signature"}:
        raise BadSignature(f"authorization is not {api.SCHEME} with what it needs, once each", VerificationStep.HEADER)
    if not _TIMESTAMP.fullmatch(told["timestamp"]) or not _NONCE.fullmatch(told["nonce_str"]):
        raise BadSignature("the signed time is no number, or the nonce not printable", VerificationStep.HEADER)
    return told


def _signature_bytes(signature: str) -> bytes:
    if len(signature) > SIGNATURE_CHARS_MAX:
        raise BadSignature("the signature is too long", VerificationStep.HEADER)
    try:
        return b64decode(signature, validate=True)
    except ValueError:
        raise BadSignature("the signature is not base64", VerificationStep.HEADER) from None


def _object(body: bytes) -> Mapping[str, object]:
    fields = strictjson.loads(body)
    if not isinstance(fields, dict):
        raise BadPayload("the body is no object")
    return fields


def _signer(settings: LakalaSettings) -> api.Signer | None:
    if settings.app_id is None or settings.merchant_serial is None or settings.merchant_private_key is None:
        return None
    return api.Signer(
        merchant_no=settings.merchant_no,
        app_id=settings.app_id,
        serial=settings.merchant_serial,
        key=rsa_private_key(settings.merchant_private_key),
        term_no=settings.term_no,
        is_cashier=settings.cashier,
    )


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((it for name in names if (it := reference_or_none(fields.get(name)))), None)


def _reply(status: int, body: str) -> Reply:
    return Reply(status=status, body=body.encode(), content_type="application/json")
