"""Makes and checks ShengPay's signatures: RSA over the fields of a JSON object, in notices, requests and answers alike.

Source: ShengPay's own repository shengpay-h5-pay-integration, `references/`: signing.
"""

from collections.abc import Mapping
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.pairs import check_unambiguous
from tillkeeper.gateways.kit.rsa import is_signed_by, signature_bytes

SignType = Literal["RSA2", "RSA"]
Fields = Mapping[str, object]

SIGN: Final = "sign"
SIGN_TYPE: Final = "signType"
FIELDS_MAX: Final = 200  # a notice has 20
MARKS_MAX: Final = 1_000  # commas and brackets, of which texts may hold some
HASHES: Final[Mapping[str, HashAlgorithm]] = {"RSA2": SHA256(), "RSA": SHA1()}  # noqa: S303 - theirs, for old accounts

# What an event is made from, or whether there is one.
DECIDING: Final = frozenset(
    {
        *("appId", "mchId", "signType", "returnCode", "resultCode", "errorCode", "eventType"),
        *("outTradeNo", "transactionId", "tradeState", "tradeType", "totalFee", "timeEnd"),
        *("refundId", "outRefundNo", "refundStatus", "refundFee", "refundSuccessTime"),
    }
)


def verified_fields(body: bytes, key: RSAPublicKey, sign_type: SignType) -> Fields:
    """Returns the fields of a signed body, over which the signature is as they are written.

    Raises BadSignature, BadPayload.
    """
    fields = strictjson.loads_unsigned(body, marks_max=MARKS_MAX)
    if not isinstance(fields, dict) or len(fields) > FIELDS_MAX:
        raise BadPayload(f"the body is no object of up to {FIELDS_MAX} fields")
    signature = _signature_in(fields, sign_type)
    raw = strictjson.members(body)
    texts = {name: as_signed(value, raw[name]) for name, value in fields.items()}
    if not is_signed_by(key, signature, signing_text(texts).encode(), HASHES[sign_type]):
        raise BadSignature("sign is not by the shengpay_public_key")
    check_unambiguous(texts, DECIDING)  # one key signs for all merchants, and attach is a merchant's text
    return fields


def _signature_in(fields: Fields, sign_type: SignType) -> bytes:
    sign = fields.get(SIGN)
    if not isinstance(sign, str):
        raise BadSignature("sign is missing, or no text", VerificationStep.HEADER)
    if fields.get(SIGN_TYPE) != sign_type:
        raise BadSignature(f"signType is not {sign_type}, as the account says it is", VerificationStep.HEADER)
    return signature_bytes(sign, SIGN)


def signing_text(fields: Mapping[str, str]) -> str:
    """Joins every field with a value but the signature itself, whatever fields there are."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != SIGN and value)


def as_signed(value: object, raw: bytes) -> str:
    """Returns a value as it takes part: a text without its quotes and escapes, nothing for null, all else as it is
    written."""
    if value is None:
        return ""
    return value if isinstance(value, str) else raw.decode()
