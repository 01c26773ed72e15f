"""Verifies and reads WeChat Pay's notices: RSA over timestamp, nonce and body, a line each; in the body a resource in
AES-256-GCM.

Answers of its API are signed in the same way.  Sources: wechatpay-go `core/notify`, `core/auth/validators`;
wechatpay-java `WechatPay2Validator`; the package `wechatpayv3` (`core.py`, `utils.py`); WeChat Pay's notes on notices
("回调通知注意事项") and on switching from platform certificates to a public key.
"""

from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.freshness import check_fresh
from tillkeeper.gateways.kit.rsa import is_signed_by, signature_bytes
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.wechatpay.objects import Merchant, is_of_payments, refund_in_notice, transaction_fact

TIMESTAMP_HEADER: Final = "wechatpay-timestamp"
NONCE_HEADER: Final = "wechatpay-nonce"
SERIAL_HEADER: Final = "wechatpay-serial"
SIGNATURE_HEADER: Final = "wechatpay-signature"
SIGNATURE_TYPE_HEADER: Final = "wechatpay-signature-type"
KEPT_HEADERS: Final = frozenset(
    {TIMESTAMP_HEADER, NONCE_HEADER, SERIAL_HEADER, SIGNATURE_HEADER, SIGNATURE_TYPE_HEADER, "content-type"}
)

SIGNATURE_TYPE: Final = "WECHATPAY2-SHA256-RSA2048"
PROBE_PREFIX: Final = "WECHATPAY/SIGNTEST/"
NONCE_CHARS_MAX: Final = 256  # seen: 32
GCM_NONCE_BYTES: Final = 12
RESOURCE_ALGORITHM: Final = "AEAD_AES_256_GCM"

# By the first word of event_type; what happened is said by a field of the resource, not by the type.
READERS: Final[Mapping[str, Callable[[object], Fact | None]]] = {
    "TRANSACTION": transaction_fact,
    "REFUND": refund_in_notice,
}


def label_of_signer(request: Request, now: datetime, key_of: Callable[[str], tuple[str, RSAPublicKey]]) -> str:
    """Returns the label of the key that signed; `key_of` finds label and key by serial.  Raises BadSignature."""
    signature = request.header(SIGNATURE_HEADER)
    if signature.startswith(PROBE_PREFIX):
        raise BadSignature("a probe: WeChat Pay sends wrong signatures to see them refused")
    if request.headers.get(SIGNATURE_TYPE_HEADER) and request.header(SIGNATURE_TYPE_HEADER) != SIGNATURE_TYPE:
        raise BadSignature(f"the signature type is not {SIGNATURE_TYPE}", VerificationStep.HEADER)
    timestamp, nonce = request.header(TIMESTAMP_HEADER), request.header(NONCE_HEADER)
    check_fresh(timestamp, now)
    _check_nonce(nonce)
    label, key = key_of(request.header(SERIAL_HEADER))
    signed = f"{timestamp}\n{nonce}\n".encode() + request.body + b"\n"
    if not is_signed_by(key, signature_bytes(signature), signed):
        raise BadSignature(f"the signature is not by the key {label}")
    return label


def _check_nonce(nonce: str) -> None:
    """Raises BadSignature for an odd nonce: a line end in it would let what is signed as body be passed off as
    nonce."""
    if not (nonce.isascii() and nonce.isprintable() and len(nonce) <= NONCE_CHARS_MAX):
        raise BadSignature("the nonce is not printable ASCII or too long", VerificationStep.HEADER)


def opened(cipher: AESGCM, resource: object) -> bytes:
    """Returns what is encrypted in a notice or an answer.  Only who knows the apiv3_key can have written it."""
    if text(resource, "algorithm") != RESOURCE_ALGORITHM:
        raise BadPayload(f"resource.algorithm is not {RESOURCE_ALGORITHM}")
    nonce = text(resource, "nonce").encode()
    if len(nonce) != GCM_NONCE_BYTES:
        raise BadPayload(f"resource.nonce has not {GCM_NONCE_BYTES} bytes")
    associated = (text_or_none(resource, "associated_data") or "").encode()
    try:
        ciphertext = b64decode(text(resource, "ciphertext"), validate=True)
        return cipher.decrypt(nonce, ciphertext, associated)
    except ValueError:
        raise BadPayload("resource.ciphertext is not base64") from None
    except InvalidTag:
        raise BadPayload("the resource does not open with this account's apiv3_key") from None


def events_of(account: str, notice: object, merchant: Merchant, cipher: AESGCM) -> Iterator[PaymentEvent]:
    """Yields the event of a payment or a refund of this merchant's, one for each order of a combined payment, or
    none."""
    read = READERS.get(text(notice, "event_type").partition(".")[0])
    if read is None:
        return
    resource = strictjson.loads(opened(cipher, at(notice, ["resource"])))
    if not is_of_payments(text_or_none(notice, "resource", "original_type"), resource):
        return
    is_combined = at(resource, ["sub_orders"]) is not None
    own = merchant.own_orders(resource) if is_combined else [resource] if merchant.owns(resource) else []
    for fact in (read(order) for order in own):
        if fact is not None:
            yield _event(account, notice, fact, is_combined=is_combined)


def _event(account: str, notice: object, fact: Fact, *, is_combined: bool) -> PaymentEvent:
    """The notice's id is the event's; a combined payment's orders have one each."""
    notice_id = text(notice, "id")
    return webhook_event(
        fact,
        account=account,
        event_id=f"{notice_id}:{fact.order_ref}" if is_combined else notice_id,
        reported_at=fact.occurred_at or moment_from_rfc3339(text(notice, "create_time")),
    )
