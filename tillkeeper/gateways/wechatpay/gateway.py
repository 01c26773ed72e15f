"""WeChat Pay v3: RSA over timestamp, nonce and body, a line each; within the body a resource in AES-256-GCM.

Sources: wechatpay-go `core/notify`, `core/auth/validators`; wechatpay-java `WechatPay2Validator`; the package
`wechatpayv3` (`core.py`, `utils.py`); WeChat Pay's notes on notices ("回调通知注意事项") and on switching from platform
certificates to a public key.  What is asked is in `wechatpay_asking`, how certificates are fetched in
`wechatpay_certificates`.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, Self, cast

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import AfterValidator, Field, model_validator

from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import (
    ROTATED_MAX,
    AccountModel,
    ApiBase,
    OneSecret,
    OptionalPrivateKey,
    rsa_certificate,
    rsa_private_key,
    rsa_public_key,
)
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import queried, with_stand_in_closed
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.freshness import check_fresh
from tillkeeper.gateways.kit.http_status import NOT_FOUND
from tillkeeper.gateways.messages import Answer, Call, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.wechatpay import api
from tillkeeper.gateways.wechatpay.certificates import PATH as CERTIFICATES_PATH
from tillkeeper.gateways.wechatpay.certificates import PATH_ABROAD as CERTIFICATES_PATH_ABROAD
from tillkeeper.gateways.wechatpay.certificates import (
    REST,
    Certificate,
    certificate_of,
    certificates_in,
    is_certificate_serial,
    kept,
)
from tillkeeper.gateways.wechatpay.objects import (
    MCH_ID,
    SUB_MCH_IDS,
    Merchant,
    SubMerchants,
    ToldAt,
    is_of_payments,
    refund_notice,
    transaction_event,
)

TIMESTAMP_HEADER: Final = "wechatpay-timestamp"
NONCE_HEADER: Final = "wechatpay-nonce"
SERIAL_HEADER: Final = "wechatpay-serial"
SIGNATURE_HEADER: Final = "wechatpay-signature"
SIGNATURE_TYPE_HEADER: Final = "wechatpay-signature-type"

SIGNATURE_TYPE: Final = "WECHATPAY2-SHA256-RSA2048"
PROBE_PREFIX: Final = "WECHATPAY/SIGNTEST/"
SIGNATURE_CHARS_MAX: Final = 1024  # RSA of 4,096 bits makes 684
NONCE_CHARS_MAX: Final = 256  # seen: 32
APIV3_KEY_BYTES: Final = 32
GCM_NONCE_BYTES: Final = 12
RESOURCE_ALGORITHM: Final = "AEAD_AES_256_GCM"


def _check_apiv3_key(key: str) -> str:
    if len(key.encode()) != APIV3_KEY_BYTES:
        raise ValueError(f"apiv3_key has {APIV3_KEY_BYTES} characters")
    return key


def _check_certificates(certificates: dict[str, str]) -> dict[str, str]:
    """A certificate under another's serial would verify what it did not sign for."""
    for serial, pem in certificates.items():
        if _serial(f"{rsa_certificate(pem)[0]:x}") != _serial(serial):
            raise ValueError(f"platform_certs: the certificate under {serial} has another serial number")
    return certificates


def _check_public_keys(keys: dict[str, str]) -> dict[str, str]:
    for pem in keys.values():
        rsa_public_key(pem)
    return keys


class WeChatPaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "wechatpay"`.  At least one platform certificate or public key is needed."""

    gateway: Literal["wechatpay"]
    mch_id: Annotated[str, Field(min_length=1)] = Field(description=MCH_ID)
    sub_mch_ids: SubMerchants = Field(default=(), description=SUB_MCH_IDS)
    app_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The app's id, where several apps of the merchant share the notify address."
    )
    apiv3_key: Annotated[OneSecret, AfterValidator(_check_apiv3_key)] = Field(
        description="The API v3 key (APIv3密钥), 32 characters, which opens what is encrypted in a notice."
    )
    platform_certs: Annotated[
        dict[str, str], Field(max_length=ROTATED_MAX, repr=False), AfterValidator(_check_certificates)
    ] = Field(default={}, description="Platform certificates (平台证书) by serial number.")
    public_keys: Annotated[
        dict[str, str], Field(max_length=ROTATED_MAX, repr=False), AfterValidator(_check_public_keys)
    ] = Field(default={}, description="WeChat Pay's public keys (微信支付公钥) by id.")
    merchant_serial: str | None = Field(
        default=None, description="The merchant certificate's serial number (商户API证书序列号), which questions name."
    )
    merchant_private_key: OptionalPrivateKey = Field(
        default=None, description="That certificate's private key (apiclient_key.pem), which signs questions."
    )
    api_base: ApiBase = "https://api.mch.weixin.qq.com"

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if not self.platform_certs and not self.public_keys:
            raise ValueError("platform_certs or public_keys must name a key of WeChat Pay's")
        return self


ABOUT: Final = About(
    title="WeChat Pay v3",
    title_zh="微信支付",
    verifies="RSA-SHA256 over time, nonce and body, signed within 300 s, with the platform certificate, in its time, "
    "or the public key that the delivery names; the resource in it opens with AES-256-GCM",
    dedupes_by="the notice's `id`",
    acknowledges="204 without a body",
    queries="transactions by WeChat Pay's number or the order reference; refunds by `out_refund_no`, for there is no "
    "question for all refunds of a payment; answers' signatures are verified.  A service provider asks in the name "
    "of one sub-merchant after the other; abroad (apihk.mch.weixin.qq.com) the paths are those of the API there",
    refunds_seen="that something went back: refunds that are known are asked about, or a case tells it",
    checked="the package `wechatpayv3` signs",
    sources=(
        "wechatpay-go `core/notify`",
        "the package `wechatpayv3`",
        "WeChat Pay's page 回调通知注意事项",
        "its pages 支付通知, 合单支付通知, 退款结果通知, 扣款结果通知 and 分账动账通知, for either sort of merchant",
    ),
)


class WeChatPay(Gateway):
    """One merchant number at WeChat Pay."""

    name: ClassVar[str] = "wechatpay"
    settings: ClassVar[type[AccountModel]] = WeChatPaySettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an out_trade_no is one transaction's
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {TIMESTAMP_HEADER, NONCE_HEADER, SERIAL_HEADER, SIGNATURE_HEADER, SIGNATURE_TYPE_HEADER, "content-type"}
    )

    def __init__(self, account: str, settings: WeChatPaySettings) -> None:
        self.account = account
        self._merchant = settings
        self._own = Merchant(mch_id=settings.mch_id, app_id=settings.app_id, sub_mch_ids=settings.sub_mch_ids)
        self._signer = _signer(settings)
        self._cipher = AESGCM(settings.apiv3_key.encode())
        self._public_keys: Mapping[str, tuple[str, RSAPublicKey]] = {
            _serial(key_id): (key_id, rsa_public_key(pem)) for key_id, pem in settings.public_keys.items()
        }
        self._configured: Mapping[str, Certificate] = {
            _serial(serial): certificate_of(serial, pem) for serial, pem in settings.platform_certs.items()
        }
        self._certificates: Mapping[str, Certificate] = {}  # fetched; beside those that are configured
        self._listed_at: datetime | None = None

    def verify(self, request: Request, now: datetime) -> Verified:
        """Wechatpay-Serial picks the key, and an unknown one is refused: it is never "the only key there is"."""
        return self._verified(request, now, self._certificates)

    def _verified(self, request: Request, now: datetime, certificates: Mapping[str, Certificate]) -> Verified:
        signature = request.header(SIGNATURE_HEADER)
        if signature.startswith(PROBE_PREFIX):
            raise BadSignature("a probe: WeChat Pay sends wrong signatures to see them refused")
        if request.headers.get(SIGNATURE_TYPE_HEADER) and request.header(SIGNATURE_TYPE_HEADER) != SIGNATURE_TYPE:
            raise BadSignature(f"the signature type is not {SIGNATURE_TYPE}", VerificationStep.HEADER)
        timestamp, nonce = request.header(TIMESTAMP_HEADER), request.header(NONCE_HEADER)
        check_fresh(timestamp, now)
        _check_nonce(nonce)
        label, key = self._key(request.header(SERIAL_HEADER), now, certificates)
        signed = f"{timestamp}\n{nonce}\n".encode() + request.body + b"\n"
        try:
            key.verify(_signature_bytes(signature), signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise BadSignature(f"the signature is not by the key {label}") from None
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """By serial number or id."""
        return (*(it.serial for it in self._configured.values()), *(label for label, _ in self._public_keys.values()))

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a payment or a refund of this merchant's, one for each order of a combined payment, and none
        for others."""
        notice = strictjson.loads(cast("bytes", verified.content))
        read = READERS.get(text(notice, "event_type").partition(".")[0])
        if read is None:
            return ()
        resource = strictjson.loads(self._open(at(notice, ["resource"])))
        if not is_of_payments(text_or_none(notice, "resource", "original_type"), resource):
            return ()
        is_combined = at(resource, ["sub_orders"]) is not None
        told = self._own.own_orders(resource) if is_combined else [resource] if self._own.owns(resource) else []
        made = (read(self.account, it, lambda: moment_from_rfc3339(text(notice, "create_time"))) for it in told)
        return tuple(_named(text(notice, "id"), it, is_combined=is_combined) for it in made if it is not None)

    def acknowledge(self) -> Reply:
        """204, for the body must be empty."""
        return Reply(status=204)

    def refuse(self, status: int) -> Reply:
        """The form WeChat Pay asks for."""
        return Reply(status=status, body=b'{"code":"FAIL","message":"refused"}', content_type="application/json")

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:
        """The list of platform certificates, where a delivery names one that is not at hand and we may ask for it."""
        serials = request.headers.get(SERIAL_HEADER, ())
        if len(serials) != 1 or not is_certificate_serial(serials[0]):
            return None
        if self._listed_at is not None and now - self._listed_at < REST:
            return None
        try:
            self._key(serials[0], now, self._certificates)
        except BadSignature:
            return self._list(now, nonce)
        return None

    def key_refresh_request(self, *, now: datetime, nonce: str) -> Call | None:
        """The same list, where platform certificates are used at all."""
        return self._list(now, nonce) if self._merchant.platform_certs or self._certificates else None

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:  # noqa: ARG002 - there is one list
        """Takes in the certificates of a list that is signed by a known key, or by one of them."""
        listed = certificates_in(response, self._open, now=now, name=_serial)
        self._verified(Request(headers=response.headers, body=response.body), now, {**self._certificates, **listed})
        self._certificates = kept(self._certificates, listed, now)
        self._listed_at = now

    def _list(self, now: datetime, nonce: str) -> Call | None:
        if self._signer is None:
            return None
        base = self._merchant.api_base
        path = CERTIFICATES_PATH_ABROAD if api.is_abroad(base) else CERTIFICATES_PATH
        return self._signer.get(f"{base}{path}", now, nonce)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:
        """By WeChat Pay's own transaction number where it is known, else by the order's reference."""
        if self._signer is None:
            raise CannotQuery("merchant_serial and merchant_private_key are not both set")
        return self._signer.call(self._merchant.api_base, query, now, nonce)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What a signed answer to this query says."""
        api.check_status(response)
        if response.status == NOT_FOUND and SIGNATURE_HEADER not in response.headers:
            # An error may come unsigned: then TLS alone vouches for it, as for the official SDKs.
            return api.not_found(query, self._merchant.sub_mch_ids)
        signed = Request(headers=response.headers, body=response.body)
        content = strictjson.loads(cast("bytes", self.verify(signed, now).content))
        if response.status == NOT_FOUND:
            return api.not_found(query, self._merchant.sub_mch_ids)
        told_at = moment_from_unix(int(signed.header(TIMESTAMP_HEADER)))
        if query.about == "payment" and not self._own.owns(content):
            raise BadPayload("the answer is about another merchant's or app's payment")
        event = api.event_of(self.account, query, content, told_at)
        events = [event] if query.about == "refund" else with_stand_in_closed(query, event, told_at)
        return Answer(found=True, events=tuple(queried(it) for it in events if it is not None))

    def _key(self, serial: str, now: datetime, certificates: Mapping[str, Certificate]) -> tuple[str, RSAPublicKey]:
        """A public key has no end; a certificate counts in its time alone, configured or fetched."""
        name = _serial(serial)
        if (public_key := self._public_keys.get(name)) is not None:
            return public_key
        certificate = self._configured.get(name) or certificates.get(name)
        if certificate is None:
            raise BadSignature(
                "wechatpay-serial names none of the platform_certs and public_keys", VerificationStep.KEY
            )
        if not certificate.is_valid_at(now):
            raise BadSignature(
                f"the platform certificate {certificate.serial} is not valid at this time; was it renewed?",
                VerificationStep.KEY,
            )
        return certificate.serial, certificate.key

    def _open(self, resource: object) -> bytes:
        """What is encrypted in a notice or an answer.  Only who knows the apiv3_key can have written it."""
        if text(resource, "algorithm") != RESOURCE_ALGORITHM:
            raise BadPayload(f"resource.algorithm is not {RESOURCE_ALGORITHM}")
        nonce = text(resource, "nonce").encode()
        if len(nonce) != GCM_NONCE_BYTES:
            raise BadPayload(f"resource.nonce has not {GCM_NONCE_BYTES} bytes")
        associated = (text_or_none(resource, "associated_data") or "").encode()
        try:
            ciphertext = b64decode(text(resource, "ciphertext"), validate=True)
            return self._cipher.decrypt(nonce, ciphertext, associated)
        except ValueError:
            raise BadPayload("resource.ciphertext is not base64") from None
        except InvalidTag:
            raise BadPayload("the resource does not open with this account's apiv3_key") from None


# By the first word of event_type; what happened is told by a field of the resource, not by the type.
READERS: Final[Mapping[str, Callable[[str, object, ToldAt], PaymentEvent | None]]] = {
    "TRANSACTION": transaction_event,
    "REFUND": refund_notice,
}


def _named(notice_id: str, event: PaymentEvent, *, is_combined: bool) -> PaymentEvent:
    """The notice's id is the event's; a combined payment's orders have one each."""
    event_id = f"{notice_id}:{event.order_ref}" if is_combined else notice_id
    event = msgspec.structs.replace(event, event_id=event_id)
    if problem := problem_with(event):
        raise BadPayload(problem)
    return event


def _signer(settings: WeChatPaySettings) -> api.Signer | None:
    if settings.merchant_serial is None or settings.merchant_private_key is None:
        return None
    return api.Signer(
        mch_id=settings.mch_id,
        sub_mch_ids=settings.sub_mch_ids,
        serial=settings.merchant_serial,
        key=rsa_private_key(settings.merchant_private_key),
        answer_key_id=next(iter(settings.public_keys), None),
    )


def _serial(written: str) -> str:
    """Serials in one form: hexadecimal in capitals without leading zeros."""
    return written.upper().lstrip("0")


def _check_nonce(nonce: str) -> None:
    """A line end in it would let what is signed as body be passed off as nonce."""
    if not (nonce.isascii() and nonce.isprintable() and len(nonce) <= NONCE_CHARS_MAX):
        raise BadSignature("the nonce is not printable ASCII or too long", VerificationStep.HEADER)


def _signature_bytes(signature: str) -> bytes:
    if len(signature) > SIGNATURE_CHARS_MAX:
        raise BadSignature("the signature is too long", VerificationStep.HEADER)
    try:
        return b64decode(signature, validate=True)
    except ValueError:
        raise BadSignature("the signature is not base64", VerificationStep.HEADER) from None
