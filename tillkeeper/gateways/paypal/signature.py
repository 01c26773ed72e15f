"""Builds the text that PayPal signs of a delivery: the transmission's id and time, our webhook's id and the CRC-32 of
the body.

Sources: PayPal's page "Integrate webhooks"; the package `paypalrestsdk`, `notifications.py`.
"""

import re
import zlib
from base64 import b64decode
from binascii import Error as BadBase64
from typing import Final

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.paypal.certificates import live_of

ID_HEADER: Final = "paypal-transmission-id"
TIME_HEADER: Final = "paypal-transmission-time"
SIGNATURE_HEADER: Final = "paypal-transmission-sig"
CERTIFICATE_HEADER: Final = "paypal-cert-url"
ALGORITHM_HEADER: Final = "paypal-auth-algo"
HEADERS: Final = frozenset(
    {ID_HEADER, TIME_HEADER, SIGNATURE_HEADER, CERTIFICATE_HEADER, ALGORITHM_HEADER, "paypal-auth-version"}
)
ALGORITHM: Final = "SHA256withRSA"
SIGNATURE_CHARS_MAX: Final = 1024  # a key of 4096 bits makes 684

_TRANSMISSION_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_TRANSMISSION_TIME: Final = re.compile(r"[0-9TZ:.+-]{1,40}", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


def certificate_url(request: Request, *, live: bool | None) -> str:
    """Returns where the certificate is that the delivery names.  Raises BadSignature where that is none of PayPal's
    addresses, or one of its other environment."""
    url = request.header(CERTIFICATE_HEADER)
    is_live = live_of(url)
    if is_live is None:
        raise BadSignature("the certificate's URL is none of PayPal's", VerificationStep.KEY)
    if live not in (None, is_live):
        environment = "live" if is_live else "the sandbox"
        raise BadSignature(f"the delivery is of {environment}, and api_base is not", VerificationStep.MODE)
    return url


def signature_in(request: Request) -> bytes:
    """Returns the signature's bytes.  Raises BadSignature."""
    if request.header(ALGORITHM_HEADER) != ALGORITHM:
        raise BadSignature(f"{ALGORITHM_HEADER} is not {ALGORITHM}", VerificationStep.HEADER)
    signature = request.header(SIGNATURE_HEADER)
    if len(signature) > SIGNATURE_CHARS_MAX or not _BASE64.fullmatch(signature):
        raise BadSignature("the signature is not base64", VerificationStep.HEADER)
    try:
        return b64decode(signature, validate=True)
    except BadBase64:
        raise BadSignature("the signature is not base64", VerificationStep.HEADER) from None


def signed_text(request: Request, webhook_id: str) -> bytes:
    """Returns what is signed.  Neither id nor time can hold the bar that stands between them.  Raises BadSignature."""
    transmission_id, time = request.header(ID_HEADER), request.header(TIME_HEADER)
    if not _TRANSMISSION_ID.fullmatch(transmission_id) or not _TRANSMISSION_TIME.fullmatch(time):
        raise BadSignature("the transmission's id or time is none", VerificationStep.HEADER)
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(request.body)}".encode()
