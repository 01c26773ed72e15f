"""RSA keys and signatures as texts: what is taken, and what is said of what is not."""

import re
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.rsa import (
    SIGNATURE_CHARS_MAX,
    is_signed_by,
    rsa_certificate,
    rsa_private_key,
    rsa_public_key,
    signature_bytes,
    signature_of,
)


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_what_a_key_signs_is_its_own_and_nothing_else(key):
    read = rsa_private_key(private_pem(key))
    signature = signature_bytes(signature_of(read, b"signed"))
    assert is_signed_by(rsa_public_key(public_pem(key)), signature, b"signed")
    assert not is_signed_by(rsa_public_key(public_pem(key)), signature, b"sizned")
    assert not is_signed_by(rsa_public_key(public_pem(key)), signature[:-1], b"signed")


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (
            rsa_public_key,
            "-----BEGIN PRIVATE KEY-----",
            "this is a private key, which the gateway alone has; here belongs its public key",
        ),
        (rsa_public_key, "no key", "a public key is not PEM; it begins with -----BEGIN PUBLIC KEY-----"),
        (rsa_certificate, "no key", "a certificate is not PEM; it begins with -----BEGIN CERTIFICATE-----"),
        (rsa_private_key, "no key", "a private key is not PEM without a password"),
        (
            rsa_private_key,
            private_pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret")),
            "a private key is not PEM without a password",
        ),
        (rsa_private_key, private_pem(ec.generate_private_key(ec.SECP256R1())), "a private key must be RSA"),
        (
            rsa_public_key,
            public_pem(ec.generate_private_key(ec.SECP256R1())),
            "a key must be RSA of 2048 bits or more",
        ),
    ],
    ids=range(7),
)
def test_what_is_no_key_is_refused_with_what_is_wrong(read, text, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        read(text)


def test_a_short_key_is_refused_and_the_shortest_fit_one_is_not(key):
    short = rsa.generate_private_key(public_exponent=65537, key_size=2047)
    with pytest.raises(ValueError, match="2048 bits or more"):
        rsa_public_key(public_pem(short))
    assert rsa_public_key(public_pem(key)).key_size == 2048


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sign is missing or too long"),
        (b64encode(bytes(SIGNATURE_CHARS_MAX)).decode(), "sign is missing or too long"),
        ("AA=A", "sign is not base64"),
        ("A A=", "sign is not base64"),
    ],
)
def test_what_is_no_signature_is_refused_at_its_header(text, said):
    with pytest.raises(BadSignature) as refused:
        signature_bytes(text, "sign")
    assert (refused.value.reason, refused.value.step) == (said, VerificationStep.HEADER)
    longest = b64encode(bytes(SIGNATURE_CHARS_MAX * 3 // 4)).decode()
    assert len(longest) == SIGNATURE_CHARS_MAX
    assert signature_bytes(longest) == bytes(SIGNATURE_CHARS_MAX * 3 // 4)
