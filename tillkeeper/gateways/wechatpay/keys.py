"""Holds the keys that WeChat Pay signs with: its public keys, and platform certificates, configured or fetched."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tillkeeper.gateways.account import ROTATED_MAX
from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.chain import leaf
from tillkeeper.gateways.kit.rsa import rsa_certificate, rsa_public_key


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One platform certificate's key, and while it counts."""

    serial: str
    key: RSAPublicKey
    valid_from: datetime
    valid_until: datetime

    def is_valid_at(self, now: datetime) -> bool:
        """Returns False before the certificate's time and after it."""
        return self.valid_from <= now <= self.valid_until


class PlatformKeys:
    """The keys of one account, by serial number or id."""

    def __init__(self, public_keys: Mapping[str, str], certificates: Mapping[str, str]) -> None:
        self._public_keys: Mapping[str, tuple[str, RSAPublicKey]] = {
            serial_of(key_id): (key_id, rsa_public_key(pem)) for key_id, pem in public_keys.items()
        }
        self._configured: Mapping[str, Certificate] = {
            serial_of(serial): certificate_of(serial, pem) for serial, pem in certificates.items()
        }
        self._fetched: Mapping[str, Certificate] = _NONE

    @property
    def labels(self) -> tuple[str, ...]:
        """Returns what ops know the configured keys by."""
        certificates = (certificate.serial for certificate in self._configured.values())
        return (*certificates, *(label for label, _ in self._public_keys.values()))

    @property
    def has_certificates(self) -> bool:
        """Says whether platform certificates are used at all."""
        return bool(self._configured or self._fetched)

    @property
    def valid_until(self) -> datetime | None:
        """Returns when the last certificate ends; None where a public key is at hand."""
        certificates = (*self._configured.values(), *self._fetched.values())
        ends = [certificate.valid_until for certificate in certificates]
        return None if self._public_keys else max(ends, default=None)

    def key(
        self, serial: str, now: datetime, *, listed: Mapping[str, Certificate] | None = None
    ) -> tuple[str, RSAPublicKey]:
        """Returns the key of that serial number or id, with its label.  Raises BadSignature.

        A public key has no end; a certificate counts in its time alone.  `listed` are certificates that are not taken
        in yet.
        """
        name = serial_of(serial)
        if (public_key := self._public_keys.get(name)) is not None:
            return public_key
        certificate = self._configured.get(name) or (listed or _NONE).get(name) or self._fetched.get(name)
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

    def take_in(self, listed: Mapping[str, Certificate], now: datetime) -> None:
        """Keeps a few of the fetched certificates at most: those that are valid for longest."""
        known = {**self._fetched, **listed}
        valid = [(name, certificate) for name, certificate in known.items() if certificate.is_valid_at(now)]
        longest_first = sorted(valid, key=lambda pair: pair[1].valid_until, reverse=True)
        self._fetched = dict(longest_first[:ROTATED_MAX])


_NONE: Final[Mapping[str, Certificate]] = {}


def serial_of(written: str) -> str:
    """Writes serials in one form: hexadecimal in capitals without leading zeros."""
    return written.upper().lstrip("0")


def certificate_of(serial: str, pem: str) -> Certificate:
    """Returns a certificate under the serial number that it is known by here.  Raises ValueError."""
    certificate = leaf(pem)
    return Certificate(
        serial=serial,
        key=rsa_certificate(pem)[1],
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
    )
