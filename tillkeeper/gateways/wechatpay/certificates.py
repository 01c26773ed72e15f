"""Reads WeChat Pay's platform certificates from its API: encrypted for the merchant, and signed as any answer.

The first answer may be signed by a certificate that stands in it and nowhere else.  It is believed then, as official
libraries do (wechatpay-go `downloader`, wechatpay-java `AutoCertificateService`): AES-GCM with the APIv3 key opens
only what somebody wrote who knows that key, and that is WeChat Pay and the merchant.  Sources besides: the package
`wechatpayv3` (`core._update_certificates`), WeChat Pay's page "获取商户平台证书".
"""

import re
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text
from tillkeeper.gateways.kit.http_status import OK
from tillkeeper.gateways.kit.rsa import rsa_certificate
from tillkeeper.gateways.messages import Response
from tillkeeper.gateways.wechatpay.api import check_status
from tillkeeper.gateways.wechatpay.keys import Certificate, certificate_of, serial_of
from tillkeeper.gateways.wechatpay.webhook import opened

PATH: Final = "/v3/certificates"
PATH_ABROAD: Final = "/v3/global/certificates"
LISTED_MAX: Final = 10  # one, or two while it changes
REST: Final = timedelta(minutes=1)  # what was not in the list a moment ago is not in it now
_CERTIFICATE_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{8,40}", re.ASCII)  # an id of a public key begins PUB_KEY_ID_


def is_certificate_serial(serial: str) -> bool:
    """Says whether a certificate can have that name."""
    return _CERTIFICATE_SERIAL.fullmatch(serial) is not None


def certificates_in(response: Response, cipher: AESGCM, *, now: datetime) -> dict[str, Certificate]:
    """Returns those of the list that count now, by serial.  Raises Unavailable, AccessDenied, BadPayload.

    They are not to be believed before the answer's own signature is checked.
    """
    check_status(response)
    listed = at(strictjson.loads(response.body), ["data"])
    if response.status != OK or not isinstance(listed, list) or len(listed) > LISTED_MAX:
        raise BadPayload("the answer is no list of certificates")
    certificates = [_certificate(entry, cipher) for entry in listed]
    return {serial_of(each.serial): each for each in certificates if each.is_valid_at(now)}


def _certificate(entry: object, cipher: AESGCM) -> Certificate:
    serial = text(entry, "serial_no")
    try:
        pem = opened(cipher, at(entry, ["encrypt_certificate"])).decode()
        number = rsa_certificate(pem)[0]
        certificate = certificate_of(serial, pem)
    except ValueError:
        raise BadPayload("what is encrypted is no certificate") from None
    if serial_of(f"{number:x}") != serial_of(serial):
        raise BadPayload("a certificate has another serial number than the list says")
    return certificate
