"""Checks certificate chains from a gateway's certificate to a trusted root, and for how long they are valid."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tillkeeper.gateways.kit.rsa import rsa_certificate

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Chained(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a certificate with a checked chain, and the times in which every certificate of it is valid."""

    serial: int
    key: RSAPublicKey
    valid_from: datetime
    valid_until: datetime

    def is_valid_at(self, now: datetime) -> bool:
        """Returns False before the first link's time and after the last's."""
        return self.valid_from <= now <= self.valid_until


def chained(certificates: str, roots: str) -> Chained:
    """Returns the first certificate of a PEM text, chained by the others in it to one of the roots.

    Roots that cannot be read are passed over, for Alipay's bundle holds some with SM2 keys.  Raises ValueError.
    """
    serial, key = rsa_certificate(certificates)
    leaf, *others = [x509.load_pem_x509_certificate(pem.encode()) for pem in _PEM.findall(certificates)]
    links = _links(leaf, others, readable(roots))
    return Chained(
        serial=serial,
        key=key,
        valid_from=max(link.not_valid_before_utc for link in links),
        valid_until=min(link.not_valid_after_utc for link in links),
    )


def leaf(certificates: str) -> x509.Certificate:
    """Returns the first certificate of a PEM text."""
    return x509.load_pem_x509_certificate(certificates.encode())


def readable(roots: str) -> list[x509.Certificate]:
    """Returns the roots of a bundle whose keys can be read.  Raises ValueError where there is none."""
    found = []
    for pem in _PEM.findall(roots):
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            continue
        found.append(certificate)
    if not found:
        raise ValueError("the root bundle holds no certificate that can be read")
    return found


def _links(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Returns the certificates from the leaf to a root.  It ends, for no certificate is taken twice."""
    links = [leaf]
    while True:
        if root := _issuer(links[-1], roots):
            return [*links, root]
        unused = [other for other in others if other not in links and _may_issue(other)]
        parent = _issuer(links[-1], unused)
        if parent is None:
            raise ValueError("a certificate does not chain to any of the roots")
        links.append(parent)


def _issuer(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    return next((candidate for candidate in candidates if _issued(certificate, candidate)), None)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _may_issue(certificate: x509.Certificate) -> bool:
    """Returns whether the certificate is an authority's: any certificate could sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
