"""Checks PayPal's signing certificates: the addresses that they may come from, and their chain at a given time.

Source: PayPal's page "Integrate webhooks"; the package `paypalrestsdk`, `notifications.py`, whose checks are laxer.

The address is named by the delivery, that is, by anybody.  So it is held against a whole URL, not searched for a host,
and what it yields counts only where a public authority says that it is PayPal's.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final
from warnings import catch_warnings, simplefilter

import certifi
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tillkeeper.gateways.kit.chain import readable
from tillkeeper.gateways.kit.rsa import rsa_certificate

_URL: Final = re.compile(
    r"https://api(?:-m)?(\.sandbox)?\.paypal\.com(?::443)?/v1/notifications/certs/[A-Za-z0-9_-]{1,128}", re.ASCII
)
LIVE_NAME: Final = "messageverificationcerts.paypal.com"
SANDBOX_NAME: Final = "messageverificationcerts.sandbox.paypal.com"
# PayPal signs with one, and with two while it changes them, each under four ways to write its address; nobody who names
# them all may drive out the one in use.
FETCHED_MAX: Final = 32
KEPT_FOR: Final = timedelta(days=7)  # PayPal's Cache-Control says one, but then it may be out of reach, or we were
REFUSED_MAX: Final = 4096  # more than are fetched in the time
REFUSED_FOR: Final = timedelta(hours=1)  # PayPal's own broken answer must not cost more than that
PEM_CHARS_MAX: Final = 64 * 1024  # a leaf with its intermediates has about 6 KiB
CHAIN_MAX: Final = 10


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf certificate and those that stood beside it, before anybody checked whose it is."""

    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...]
    key: RSAPublicKey
    label: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was PayPal's at some time, and the time in which every link of its chain is valid."""

    certificate: Certificate
    valid_from: datetime
    valid_until: datetime


def live_of(url: str) -> bool | None:
    """Returns whether an address is one of live PayPal's or of its sandbox; None where it is no address of PayPal's."""
    found = _URL.fullmatch(url)
    return None if found is None else found[1] is None


def certificate_in(pem: str) -> Certificate:
    """Returns the first certificate of a PEM text and the others.  Raises ValueError."""
    if len(pem) > PEM_CHARS_MAX:
        raise ValueError("a certificate is too long")
    serial, key = rsa_certificate(pem)
    leaf, *others = x509.load_pem_x509_certificates(pem.encode())
    if len(others) > CHAIN_MAX:
        raise ValueError("a certificate stands with too many others")
    return Certificate(leaf=leaf, others=tuple(others), key=key, label=f"certificate:{serial:x}")


@cache
def trust_in(bundle: str | None) -> Store:
    """Returns the authorities of a PEM bundle, or those that browsers trust.  Raises ValueError."""
    pem = Path(certifi.where()).read_text(encoding="utf-8") if bundle is None else bundle
    with catch_warnings():  # a few old roots have serial numbers that RFC 5280 forbids; they are none of PayPal's
        simplefilter("ignore", CryptographyDeprecationWarning)
        return Store(readable(pem))


class Certificates:
    """The certificates at hand: configured ones for good, fetched ones for some days; and addresses that had none."""

    def __init__(self, configured: Mapping[str, str], trust: Store) -> None:
        self._configured = {url: certificate_in(pem) for url, pem in configured.items()}
        self._fetched: dict[str, tuple[Certificate, datetime]] = {}
        self._refused: dict[str, datetime] = {}
        self._used: str | None = None
        self._checked: dict[str, Checked] = {}
        self._trust = trust

    @property
    def labels(self) -> tuple[str, ...]:
        """Returns the labels of those at hand, each once."""
        fetched = (certificate for certificate, _ in self._fetched.values())
        at_hand = (*self._configured.values(), *fetched)
        return tuple(dict.fromkeys(certificate.label for certificate in at_hand))

    @property
    def configured_until(self) -> datetime | None:
        """Returns when the last of the configured ones ends; None where there is none, or another was fetched."""
        ends = [certificate.leaf.not_valid_after_utc for certificate in self._configured.values()]
        return None if self._fetched else max(ends, default=None)

    @property
    def in_use(self) -> str | None:
        """Returns the address of the one that verified last, else of the one that was fetched last."""
        return self._used if self._used in self._fetched else next(reversed(self._fetched), None)

    def used(self, url: str) -> None:
        """Notes that a delivery was verified by the certificate at that address."""
        self._used = url

    def refuse(self, url: str, now: datetime) -> None:
        """Leaves an address alone for a while, for it had no certificate of PayPal's."""
        self._refused.pop(url, None)
        while len(self._refused) >= REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        self._refused[url] = now + REFUSED_FOR

    def is_refused(self, url: str, now: datetime) -> bool:
        """Returns whether the address had none a short time ago."""
        return now < self._refused.get(url, now)

    def at_hand(self, url: str, now: datetime) -> Certificate | None:
        """Returns the certificate that was found at an address, if that is not too long ago."""
        if url in self._configured:
            return self._configured[url]
        certificate, until = self._fetched.get(url, (None, now))
        return certificate if now < until else None

    def check(self, url: str, certificate: Certificate, now: datetime) -> None:
        """Raises ValueError unless a trusted authority says that it is PayPal's, now."""
        known = self._checked.get(url)
        if known and known.certificate is certificate and known.valid_from <= now <= known.valid_until:
            return
        name = LIVE_NAME if live_of(url) else SANDBOX_NAME
        moment = now.astimezone(UTC).replace(tzinfo=None)
        verifier = PolicyBuilder().store(self._trust).time(moment).build_server_verifier(x509.DNSName(name))
        try:
            links = verifier.verify(certificate.leaf, list(certificate.others))
        except (VerificationError, ValueError) as error:
            raise ValueError(f"it is not {name}'s by a trusted authority at this time: {error}") from None
        self._checked[url] = Checked(
            certificate=certificate,
            valid_from=max(link.not_valid_before_utc for link in links),
            valid_until=min(link.not_valid_after_utc for link in links),
        )

    def add(self, url: str, pem: str, now: datetime) -> None:
        """Keeps the certificate that an address had.  Raises ValueError, and then drops none of those at hand."""
        certificate = certificate_in(pem)
        self.check(url, certificate, now)
        self._fetched.pop(url, None)
        while len(self._fetched) >= FETCHED_MAX:
            oldest = next(iter(self._fetched))
            del self._fetched[oldest]
            self._checked.pop(oldest, None)
        self._fetched[url] = certificate, now + KEPT_FOR
