"""Defines the settings of an account of any provider, and describes it for docs/gateways.md."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, Secrets
from tillkeeper.gateways.standard.described_signature import DescribedSignature, SignatureSettings
from tillkeeper.gateways.standard.mapping import MappingSettings
from tillkeeper.gateways.standard.standard_signature import StandardSignature


class StandardSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "standard"`."""

    gateway: Literal["standard"]
    webhook_secrets: Secrets = Field(
        description="The secrets that sign: whsec_... (or whpk_..., a public key) as Standard Webhooks has them, or "
        "whatever the provider hands out, if a signature table says how it is used."
    )
    secrets_as_text: bool = Field(
        default=False,
        description="Whether a provider of Standard Webhooks signs with the text of the secret as it stands, prefix "
        "and all, and the text is not base64.  Where it is, both ways are tried anyway.",
    )
    signature: SignatureSettings | None = Field(
        default=None,
        description="A table: how the provider signs, if not as Standard Webhooks says. header, algorithm, encoding, "
        "prefix, separator, signature_key and timestamp_key (for t=1,v1=abc), timestamp_header, timestamp_unit, "
        "tolerance_s, id_header, signed (such as {timestamp}.{body}), url, secret_encoding.",
    )
    mapping: MappingSettings = Field(
        description="A table: where in the payload an event's fields stand (names with dots between them, or = and a "
        "fixed value), and in [mapping.kinds] what the provider's words mean. docs/standard.md has a worked example."
    )
    acknowledge_status: int = Field(default=200, ge=200, le=299, description="The status of the answer to a delivery.")
    acknowledge_body: str = Field(default="", max_length=1000, description="The text of the answer to a delivery.")

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        signature_of(self)
        return self


def signature_of(settings: StandardSettings) -> StandardSignature | DescribedSignature:
    """Returns the signature that the account describes, or the standard one.  Raises ValueError for secrets that do not
    fit."""
    if settings.signature is None:
        return StandardSignature(settings.webhook_secrets, as_text=settings.secrets_as_text)
    return DescribedSignature(settings.signature, settings.webhook_secrets)


ABOUT: Final = About(
    title="Standard Webhooks, or any HMAC that you describe",
    verifies="HMAC-SHA256 (or ed25519) over id, time and body, signed within 300 s; or as the account's table says",
    dedupes_by="the path that `mapping.event_id` names, else the id in the header",
    acknowledges="200 without a body, or as the account says",
    refunds_seen="nothing: there is no query",
    checked="the packages `standardwebhooks` and `svix` sign",
    sources=("the specification of Standard Webhooks", "the packages `standardwebhooks` and `svix`"),
)
