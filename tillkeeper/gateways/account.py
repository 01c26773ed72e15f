"""What the settings of all accounts share: strictness, secrets worth the name, and keys that can be read."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from tillkeeper.gateways.kit.secret_checks import doubts, forgeable

SECRET_CHARS_MIN: Final = 8  # an empty or guessable key would let anybody sign
ROTATED_MAX: Final = 5  # keys tried for one delivery: old and new, with room for a muddle
RSA_BITS_MIN: Final = 2048

# Errors never repeat the input, for it may be a secret.
STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


BodyBytes = Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)]


class AccountModel(BaseModel):
    """`[accounts.NAME]` of any gateway.  Every setting has a description: deploy/accounts.toml is printed from it."""

    model_config = STRICT
    gateway: str
    max_body_bytes: BodyBytes | None = Field(
        default=None, description="The largest delivery that is taken; None is as `ingest.max_body_bytes` says."
    )

    @model_validator(mode="after")
    def _secrets_are_their_own(self) -> Self:
        """A secret that stands in a setting that is none, such as an id or a user's name, is known to many."""
        public = {
            told: name
            for name, field in type(self).model_fields.items()
            if field.repr and isinstance(told := getattr(self, name), str)
        }
        for name, secrets in self._secrets():
            for secret in secrets:
                if secret in public:
                    raise ValueError(f"{name} is the same as {public[secret]}, which is no secret")
        return self

    def doubts(self) -> Iterator[str]:
        """What looks wrong about the secrets and lets nobody in: one line each, naming the setting and no value."""
        for name, secrets in self._secrets():
            for doubt in doubts(self.gateway, name, secrets):
                yield f"{name} {doubt}"

    def _secrets(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """By setting, the texts that are kept out of every print."""
        for name, field in type(self).model_fields.items():
            told = getattr(self, name)
            if not field.repr and isinstance(told, str | tuple):
                yield name, (told,) if isinstance(told, str) else told


FINGERPRINT_BYTES: Final = 2  # tells five keys apart
# Made slowly: whoever reads a label could otherwise try a list of likely secrets against it in no time.
SLOWNESS: Final = {"n": 2**13, "r": 8, "p": 1}  # some 20 ms and 8 MiB each
FINGERPRINTS_KEPT: Final = 1024  # accounts are read anew whenever a file of theirs changes


def key_label(setting: str, at: int, secret: str | bytes) -> str:
    """How ops know one of several keys of an account: its place, and a fingerprint, for places change."""
    return f"{setting}[{at}]:{_fingerprint(secret.encode() if isinstance(secret, str) else secret)}"


@lru_cache(FINGERPRINTS_KEPT)
def _fingerprint(key: bytes) -> str:
    return hashlib.scrypt(key, salt=b"tillkeeper key", dklen=FINGERPRINT_BYTES, **SLOWNESS).hex()


def _check_secret(secret: str, info: ValidationInfo) -> str:
    if not secret.strip():
        raise ValueError("a secret is empty")
    if secret != secret.strip():
        raise ValueError("a secret begins or ends with white space; was the file read with its line end?")
    if len(secret) < SECRET_CHARS_MIN:
        raise ValueError(f"a secret is shorter than {SECRET_CHARS_MIN} characters")
    if (why := forgeable(info.data.get("gateway", ""), info.field_name or "", secret)) is not None:
        raise ValueError(f"a secret {why}")
    return secret


def _check_base(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("an API base begins with https:// (or http:// for a sandbox)")
    return url.rstrip("/")


def rsa_public_key(pem: str) -> RSAPublicKey:
    """The key in a PEM text.  Raises ValueError for anything but RSA of a fit size."""
    if "PRIVATE KEY" in pem:
        raise ValueError("this is a private key, which the gateway alone has; here belongs its public key")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("a public key is not PEM; it begins with -----BEGIN PUBLIC KEY-----") from None
    return _rsa(key)


def rsa_certificate(pem: str) -> tuple[int, RSAPublicKey]:
    """The serial number and the key in a PEM certificate.  Raises ValueError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("a certificate is not PEM; it begins with -----BEGIN CERTIFICATE-----") from None
    return certificate.serial_number, _rsa(key)


def rsa_private_key(pem: str) -> RSAPrivateKey:
    """The key in a PEM text without a password.  Raises ValueError."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("a private key is not PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("a private key must be RSA")  # noqa: TRY004 - pydantic reports ValueError alone
    return key


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"a key must be RSA of {RSA_BITS_MIN} bits or more")
    return key


def _check_private_key(pem: str) -> str:
    rsa_private_key(pem)
    return pem


Secret = Annotated[str, AfterValidator(_check_secret)]
OneSecret = Annotated[Secret, Field(repr=False)]
OptionalSecret = Annotated[Secret | None, Field(repr=False)]
Secrets = Annotated[tuple[Secret, ...], Field(min_length=1, max_length=ROTATED_MAX, repr=False)]
PrivateKeyPem = Annotated[str, AfterValidator(_check_private_key)]
OptionalPrivateKey = Annotated[PrivateKeyPem | None, Field(repr=False)]
ApiBase = Annotated[
    str, AfterValidator(_check_base), Field(description="Where its API is.  Change it only to point at a sandbox.")
]
