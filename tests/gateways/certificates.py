"""Certificates of an authority of the tests' own, and a real one with an SM2 key."""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

# Made with OpenSSL 3; the library used here knows neither the curve nor the signature.
SM2_ROOT = """\
-----BEGIN CERTIFICATE-----
MIIBuzCCAWGgAwIBAgIUeYbJSciFg+PYPDx/2kFEZ12prZUwCgYIKoEcz1UBg3Uw
MjELMAkGA1UEBhMCQ04xEDAOBgNVBAoMB1NhbmRib3gxETAPBgNVBAMMCFNNMiBS
b290MCAXDTI2MTEyMjAzMjgxMVoYDzIwNTEwNzE0MDMyODExWjAyMQswCQYDVQQG
EwJDTjEQMA4GA1UECgwHU2FuZGJveDERMA8GA1UEAwwIU00yIFJvb3QwWTATBgcq
hkjOPQIBBggqgRzPVQGCLQNCAAQSKDWSktZQqswI3RfViy1l5IPskl44azSJizIU
mOrXC3TxLC0U7LtYkB5FIHAtJbVxTN9+l6ZlIA88z+zOkieko1MwUTAdBgNVHQ4E
FgQUn5gy/co5iyM0jAFUyL5B5Vl9UvQwHwYDVR0jBBgwFoAUn5gy/co5iyM0jAFU
yL5B5Vl9UvQwDwYDVR0TAQH/BAUwAwEB/zAKBggqgRzPVQGDdQNIADBFAiBf4+YX
WnKYN2U8ZZa03upYTi+M+SElp/tYZGLQf8Z4QQIhAPx/Ko3jhPPoJg7AdCU8O1SQ
ccaS/d+LQUCA+AhYeVY+
-----END CERTIFICATE-----
"""


@dataclass(frozen=True)
class Issued:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()


def issue(
    name: str,
    key: rsa.RSAPrivateKey,
    *,
    by: Issued | None = None,
    ca: bool | None = False,
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    until: datetime = datetime(2027, 1, 1, tzinfo=UTC),
) -> Issued:
    """A certificate signed by another, or by itself; `ca=None` leaves out what tells an authority."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return Issued(builder.sign(by.key if by else key, SHA256()), key)
