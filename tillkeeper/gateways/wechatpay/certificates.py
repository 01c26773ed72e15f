"""WeChat Pay's platform certificates as its API gives them out: encrypted for the merchant, and signed as any answer.

The first answer may be signed by a certificate that stands in it and nowhere else.  It is believed then, as official
libraries do (wechatpay-go `downloader`, wechatpay-java `AutoCertificateService`): AES-GCM with the APIv3 key opens
only what somebody wrote who knows that key, and that is WeChat Pay and the merchant.  Sources besides: the package
`wechatpayv3` (`core._update_certificates`), WeChat Pay's page "获取商户平台证书".
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tillkeeper.gateways.account import ROTATED_MAX, rsa_certificate
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.chain import leaf
from tillkeeper.gateways.kit.fields import at, text
from tillkeeper.gateways.kit.http_status import OK
from tillkeeper.gateways.messages import Response
from tillkeeper.gateways.wechatpay.api import check_status

PATH: Final = "/v3/certificates"
PATH_ABROAD: Final = "/v3/global/certificates"
LISTED_MAX: Final = 10  # one, or two while it changes
REST: Final = timedelta(minutes=1)  # what was not in the list a moment ago is not in it now
_CERTIFICATE_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{8,40}", re.ASCII)  # an id of a public key begins PUB_KEY_ID_


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One platform certificate's key, and while it counts."""

    serial: str
    key: RSAPublicKey
    valid_from: datetime
    valid_until: datetime

    def is_valid_at(self, now: datetime) -> bool:
        """False before its time and after it."""
        return self.valid_from <= now <= self.valid_until


def is_certificate_serial(serial: str) -> bool:
    """Whether a certificate can have that name."""
    return _CERTIFICATE_SERIAL.fullmatch(serial) is not None


def certificates_in(
    response: Response, unsealed: Callable[[object], bytes], *, now: datetime, name: Callable[[str], str]
) -> dict[str, Certificate]:
    """Those of the list that count now, by serial.  Raises Unavailable, Denied, BadPayload.

    They are not to be believed before the answer's own signature is checked.
    """
    check_status(response)
    listed = at(strictjson.loads(response.body), ["data"])
    if response.status != OK or not isinstance(listed, list) or len(listed) > LISTED_MAX:
        raise BadPayload("the answer is no list of certificates")
    found = [_certificate(it, unsealed, name) for it in listed]
    return {name(it.serial): it for it in found if it.is_valid_at(now)}


def kept(known: Mapping[str, Certificate], new: Mapping[str, Certificate], now: datetime) -> dict[str, Certificate]:
    """What is known from now on: a few at most, those that are valid for longest."""
    valid = [(name, it) for name, it in {**known, **new}.items() if it.is_valid_at(now)]
    return dict(sorted(valid, key=lambda pair: pair[1].valid_until, reverse=True)[:ROTATED_MAX])


def certificate_of(serial: str, pem: str) -> Certificate:
    """A certificate under the serial number that it is known by here.  Raises ValueError."""
    certificate = leaf(pem)
    return Certificate(
        serial=serial,
        key=rsa_certificate(pem)[1],
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
    )


def _certificate(listed: object, unsealed: Callable[[object], bytes], name: Callable[[str], str]) -> Certificate:
    serial = text(listed, "serial_no")
    try:
        pem = unsealed(at(listed, ["encrypt_certificate"])).decode()
        number = rsa_certificate(pem)[0]
        found = certificate_of(serial, pem)
    except ValueError:
        raise BadPayload("what is encrypted is no certificate") from None
    if name(f"{number:x}") != name(serial):
        raise BadPayload("a certificate has another serial number than the list says")
    return found
