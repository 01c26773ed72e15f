"""Alipay (支付宝): form notices signed with RSA2 over their sorted fields.

Sources: the package `alipay-sdk-python` (SignatureUtils) and the Node SDK's checkNotifySign for the signature; Alipay's
page "异步通知" and notices that merchants published for the fields; its error-code tables for failures.  What is asked
is in `alipay_asking`.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, Self, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.money import exponent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import (
    AccountModel,
    ApiBase,
    OptionalPrivateKey,
    OptionalSecret,
    rsa_certificate,
    rsa_private_key,
    rsa_public_key,
)
from tillkeeper.gateways.alipay import api, notices
from tillkeeper.gateways.alipay.fields import SIGN_TYPE, YUAN, signing_text
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery, VerificationStep
from tillkeeper.gateways.kit import form
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.chain import Chained, chained, leaf
from tillkeeper.gateways.kit.fields import reference_or_none
from tillkeeper.gateways.kit.pairs import check_unambiguous
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified

SIGNATURE_CHARS_MAX: Final = 1024  # 344 for a key of 2,048 bits, 684 for 4,096

# Where the key that signs notices comes from.
MODES: Final = (("alipay_public_key",), ("alipay_cert", "alipay_root_cert"))


def _private_key_pem(text: object) -> object:
    """Alipay's key tool hands out base64 without the PEM lines."""
    if not isinstance(text, str) or "-----" in text:
        return text
    try:
        key = load_der_private_key(b64decode("".join(text.split()), validate=True), password=None)
    except (ValueError, TypeError):
        raise ValueError("app_private_key is neither PEM nor the base64 of a private key") from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _check_currency(currency: str) -> str:
    exponent(currency)
    return currency


class AlipaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "alipay"`: key mode or certificate mode, one of the two.

    `alipay_public_key` is Alipay's key of this app, not the app's own: bare base64, as the console shows it, or PEM.
    """

    gateway: Literal["alipay"]
    app_id: Annotated[str, Field(min_length=1)] = Field(
        description="The app's id in Alipay's open platform.  Notices for another app count for nothing."
    )
    seller_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The seller's user id (2088...), where several sellers share the app."
    )
    alipay_public_key: str | None = Field(
        default=None,
        description="Key mode: Alipay's public key for this app (支付宝公钥), not the app's own, as the console shows "
        "it or PEM.",
    )
    alipay_cert: str | None = Field(default=None, description="Certificate mode: alipayCertPublicKey_RSA2.crt.")
    alipay_root_cert: str | None = Field(
        default=None, description="Certificate mode: alipayRootCert.crt, which alipay_cert must be issued under."
    )
    app_cert: str | None = Field(
        default=None,
        description="Certificate mode: the app's own certificate (应用公钥证书), which questions name.  Without it "
        "Alipay is not asked.",
    )
    app_private_key: Annotated[OptionalPrivateKey, BeforeValidator(_private_key_pem)] = Field(
        default=None, description="The app's private key (应用私钥), which signs questions."
    )
    app_auth_token: OptionalSecret = Field(
        default=None,
        description="For an app of a service provider (第三方应用): the token by which this merchant authorized it, "
        "which questions must carry.  One account for each merchant, told apart by `seller_id`.",
    )
    trans_currency: Annotated[str, AfterValidator(_check_currency)] = Field(
        default=YUAN,
        description="What trades are priced in where Alipay does not say (trans_currency): yuan, unless the account "
        "sells across borders; answers about refunds never say.",
    )
    api_base: ApiBase = "https://openapi.alipay.com/gateway.do"

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        names = [name for mode in MODES for name in mode]
        if tuple(name for name in names if getattr(self, name) is not None) not in MODES:
            raise ValueError("give either alipay_public_key, or both alipay_cert and alipay_root_cert")
        if self.app_cert is not None:
            self._check_app_cert(self.app_cert)
        _trusted(self)
        return self

    def _check_app_cert(self, app_cert: str) -> None:
        if self.alipay_cert is None:
            raise ValueError("app_cert belongs to certificate mode; in key mode leave it out")
        key = rsa_certificate(app_cert)[1]
        if self.app_private_key is None or rsa_private_key(self.app_private_key).public_key() != key:
            raise ValueError("app_cert is not the certificate of app_private_key")


class Trusted(msgspec.Struct, frozen=True):
    """The key that notices must be signed with, as ops know it; certificate mode knows its times as well."""

    label: str
    key: RSAPublicKey
    chain: Chained | None = None


def _trusted(settings: AlipaySettings) -> Trusted:
    if settings.alipay_public_key is not None:
        return Trusted("alipay_public_key", _public_key(settings.alipay_public_key))
    chain = chained(settings.alipay_cert or "", settings.alipay_root_cert or "")
    return Trusted(f"alipay_cert:{chain.serial:x}", chain.key, chain)


def _signer(settings: AlipaySettings) -> api.Signer | None:
    if settings.app_private_key is None or (settings.alipay_cert is not None and settings.app_cert is None):
        return None
    serials = {}
    if settings.app_cert is not None:
        serials["app_cert_sn"] = api.serial_of(leaf(settings.app_cert))
        serials["alipay_root_cert_sn"] = api.serials_of_roots(settings.alipay_root_cert or "")
    return api.Signer(
        app_id=settings.app_id,
        key=rsa_private_key(settings.app_private_key),
        serials=serials,
        app_auth_token=settings.app_auth_token,
    )


def _public_key(text: str) -> RSAPublicKey:
    if "-----" not in text:
        text = f"-----BEGIN PUBLIC KEY-----\n{text.strip()}\n-----END PUBLIC KEY-----"
    return rsa_public_key(text)


# sub_code of an API answer.
FAILURES: Final[Mapping[str, FailureClass]] = {
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": FailureClass.INSUFFICIENT_FUNDS,
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH": FailureClass.INSUFFICIENT_FUNDS,
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR": FailureClass.LIMIT_EXCEEDED,
    "ACQ.BEYOND_PAY_RESTRICTION": FailureClass.LIMIT_EXCEEDED,
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION": FailureClass.LIMIT_EXCEEDED,
    "ACQ.TOTAL_FEE_EXCEED": FailureClass.LIMIT_EXCEEDED,
    "ACQ.SYSTEM_ERROR": FailureClass.GATEWAY_FAULT,
    "aop.ACQ.SYSTEM_ERROR": FailureClass.GATEWAY_FAULT,
    "aop.unknow-error": FailureClass.GATEWAY_FAULT,  # their spelling
    "ACQ.PAYMENT_AUTH_CODE_INVALID": FailureClass.BANK_VERIFICATION_FAILED,
    "ACQ.BUYER_ENABLE_STATUS_FORBID": FailureClass.ACCOUNT_FROZEN,
    "ACQ.BUYER_SELLER_EQUAL": FailureClass.ACCOUNT_FROZEN,
    "ACQ.SELLER_BEEN_BLOCKED": FailureClass.ACCOUNT_FROZEN,
    "ACQ.MOBILE_PAYMENT_SWITCH_OFF": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.ACCESS_FORBIDDEN": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.TRADE_HAS_CLOSE": FailureClass.EXPIRED_UNPAID,
    "ACQ.PAYMENT_REQUEST_HAS_RISK": FailureClass.SUSPECTED_FRAUD,
    "ACQ.CONTEXT_INCONSISTENT": FailureClass.COUPON_CONFLICT,
}


ABOUT: Final = About(
    title="Alipay",
    title_zh="支付宝",
    verifies="RSA-SHA256 over the sorted form fields, with a public key or a certificate under Alipay's root",
    uncovered="no time is signed: a notice that is sent again is known by its `notify_id`.  The signature does not "
    "tell a field from a text that holds `&name=`: such texts are refused where it matters",
    dedupes_by="`notify_id`",
    acknowledges="200 with `success`",
    queries="trades by trade number or order reference; refunds by request number, for a trade tells of them only once "
    "all went back; answers' signatures are verified, in the writing that was signed: Alipay may escape slashes later",
    refunds_seen="that all went back; of a part nothing, for it is asked about by its request number alone",
    checked="the package `alipay-sdk-python` signs",
    sources=(
        "the package `alipay-sdk-python`, `SignatureUtils`",
        "the package `alipay-sdk-java`, for answers whose slashes were escaped after signing",
        "Alipay's pages 异步通知 and alipay.trade.query, and its error-code tables",
    ),
)


class Alipay(Gateway):
    """One app of one Alipay merchant."""

    name: ClassVar[str] = "alipay"
    settings: ClassVar[type[AccountModel]] = AlipaySettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an out_trade_no is one trade's
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: AlipaySettings) -> None:
        self.account = account
        self._app_id = settings.app_id
        self._seller_id = settings.seller_id
        self._trusted = _trusted(settings)
        self._cert_sn = None if settings.alipay_cert is None else api.serial_of(leaf(settings.alipay_cert))
        self._signer = _signer(settings)
        self._api_base = settings.api_base
        self._trans_currency = settings.trans_currency

    def verify(self, request: Request, now: datetime) -> Verified:
        """The form must be decoded first, for what is signed is its decoded fields."""
        self._check_time(now)
        received = form.decode(request.body, " ".join(request.headers.get("content-type", ())))
        fields = dict(received.fields)
        signature = _signature(fields.pop("sign", ""))
        sign_type = fields.pop("sign_type", None)
        if sign_type not in {SIGN_TYPE, None}:
            raise BadSignature(f"sign_type is not {SIGN_TYPE}", VerificationStep.HEADER)
        signed = [fields] if sign_type is None else [fields, {**fields, "sign_type": sign_type}]
        # Older families of notices sign sign_type as well.
        if not any(self._is_signed(signature, signing_text(each).encode(received.charset)) for each in signed):
            raise BadSignature(f"the signature is not by {self._trusted.label}")
        check_unambiguous(fields, notices.DECIDING, notices.LESS_STRICT)
        return Verified(key=self._trusted.label, content=fields)

    def key_labels(self) -> tuple[str, ...]:
        """Alipay signs with one key."""
        return (self._trusted.label,)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a trade of ours, none for others'."""
        fields = cast("Mapping[str, str]", verified.content)
        if not self._is_ours(fields):
            return ()
        event = notices.event_of(self.account, fields, self._trans_currency)
        if event is None:
            return ()
        if self._seller_id is not None and not fields.get("seller_id"):
            raise BadPayload("seller_id is missing, though it tells the sellers of one app apart")
        return (event,)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The merchant's own number of a payment, out_trade_no, in a notice for this app."""
        try:
            fields = form.decode(request.body, " ".join(request.headers.get("content-type", ()))).fields
        except BadPayload:
            return None
        order_ref = reference_or_none(fields.get("out_trade_no"))
        return ClaimedReferences(order_ref=order_ref) if order_ref and fields.get("app_id") == self._app_id else None

    def acknowledge(self) -> Reply:
        """These seven bytes and no others; all else is repeated for 25 hours."""
        return Reply(status=200, body=b"success")

    def refuse(self, status: int) -> Reply:
        """The word that Alipay's own examples answer."""
        return Reply(status=status, body=b"fail")

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - Alipay wants none
        """By Alipay's own trade number where it is known, else by the order's reference."""
        if self._signer is None:
            raise CannotQuery("app_private_key is not set, or app_cert beside certificates")
        return self._signer.call(self._api_base, query, now)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What a signed answer to this query says; an unsigned one says at most that nothing is known."""
        piece = api.cut(query, response)
        signed = piece.content if piece.sign is None else self._signed_content(piece, piece.sign, now)
        content = api.read(query, signed, is_signed=piece.sign is not None)
        if content is None:
            return Answer(found=False)
        read = api.payment_events if query.about == "payment" else api.refund_events
        events = read(self.account, content, answered_at(response, now), self._trans_currency)
        return Answer(found=True, events=tuple(queried(it) for it in events))

    def _check_time(self, now: datetime) -> None:
        if self._trusted.chain is not None and not self._trusted.chain.is_valid_at(now):
            raise BadSignature("alipay_cert or its chain is not valid at this time", VerificationStep.KEY)

    def _signed_content(self, piece: api.Cut, sign: str, now: datetime) -> bytes:
        """The answer in the one of its writings that was signed.  That one is read, and no other."""
        self._check_time(now)
        if self._cert_sn is not None and piece.cert_sn not in {None, self._cert_sn}:
            raise BadSignature("the answer is signed with another certificate than alipay_cert; was it renewed?")
        signature = _signature(sign)
        for written, content in piece.writings():
            if self._is_signed(signature, written):
                return content
        raise BadSignature(f"the signature is not by {self._trusted.label}")

    def _is_signed(self, signature: bytes, text: bytes) -> bool:
        try:
            self._trusted.key.verify(signature, text, PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    def _is_ours(self, fields: Mapping[str, str]) -> bool:
        """Apps and sellers can share a notify address; without app_id nobody can tell whose a notice is."""
        if not fields.get("app_id"):
            raise BadPayload("app_id is missing")
        seller_id = fields.get("seller_id") or self._seller_id
        return fields["app_id"] == self._app_id and (self._seller_id is None or seller_id == self._seller_id)


def _signature(sign: str) -> bytes:
    """Only the one way of writing a signature is taken: base64 whose unused bits are zero."""
    if not sign or len(sign) > SIGNATURE_CHARS_MAX:
        raise BadSignature("sign is missing or too long", VerificationStep.HEADER)
    try:
        signature = b64decode(sign, validate=True)
    except ValueError:
        raise BadSignature("sign is not base64", VerificationStep.HEADER) from None
    if b64encode(signature).decode() != sign:
        raise BadSignature("sign is not base64 as it is written", VerificationStep.HEADER)
    return signature
