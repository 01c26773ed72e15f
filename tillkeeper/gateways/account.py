"""Defines the base of all accounts' settings: strict models, checked secrets and readable keys."""

from collections.abc import Iterator
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from tillkeeper.gateways.kit.rsa import rsa_private_key
from tillkeeper.gateways.kit.secret_checks import doubts, forgeable

SECRET_CHARS_MIN: Final = 8  # an empty or guessable key would let anybody sign
ROTATED_MAX: Final = 5  # keys tried for one delivery: old and new, and some to spare

# Errors never repeat the input, for it may be a secret.
STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


BodyBytes = Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)]


class AccountModel(BaseModel):
    """The settings `[accounts.NAME]` of any gateway.  Each has a description: deploy/accounts.toml is printed from
    it."""

    model_config = STRICT
    gateway: str
    max_body_bytes: BodyBytes | None = Field(
        default=None, description="The largest delivery that is taken; None is as `ingest.max_body_bytes` says."
    )

    @model_validator(mode="after")
    def _secrets_are_their_own(self) -> Self:
        """Raises ValueError for a secret that is also the value of a public setting, such as an id or a user name."""
        public = {
            value: name
            for name, field in type(self).model_fields.items()
            if field.repr and isinstance(value := getattr(self, name), str)
        }
        for name, secrets in self._secrets():
            for secret in secrets:
                if secret in public:
                    raise ValueError(f"{name} is the same as {public[secret]}, which is no secret")
        return self

    def doubts(self) -> Iterator[str]:
        """Yields what looks wrong about the secrets and lets nobody in: one line each, naming the setting and no
        value."""
        for name, secrets in self._secrets():
            for doubt in doubts(self.gateway, name, secrets):
                yield f"{name} {doubt}"

    def _secrets(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yields, by setting, the texts that are never printed."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if not field.repr and isinstance(value, str | tuple):
                yield name, (value,) if isinstance(value, str) else value


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
