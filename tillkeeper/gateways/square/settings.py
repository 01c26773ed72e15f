"""Defines the settings of an account at Square, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets


class SquareSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "square"`."""

    gateway: Literal["square"]
    signature_keys: Secrets = Field(
        description="The webhook subscription's signature key.  A new one takes effect at once, so name the old one "
        "only until its last repetitions are through."
    )
    notification_url: str = Field(
        pattern=r"^https?://[!-~]+$",
        description="The URL that the subscription is registered with, letter for letter: it is part of what Square "
        "signs.",
    )
    merchant_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The merchant's id, where several connected their accounts to the application: events of others "
        "change nothing.",
    )
    access_token: OptionalSecret = Field(
        default=None, description="The access token with which Square is asked.  Without it nothing can be asked."
    )
    api_base: ApiBase = "https://connect.squareup.com"


ABOUT: Final = About(
    title="Square",
    verifies="HMAC-SHA256 over the registered URL and the body; several keys at once; no time is signed",
    dedupes_by="`event_id`",
    acknowledges="200 without a body",
    queries="payments and refunds by their ids",
    refunds_seen="what went back in all, and each refund",
    set_up_with=("access_token",),
    checked="the package `squareup` verifies and asks",
    sources=(
        "the package `squareup`, `utils/webhooks_helper.py` and its types",
        'developer.squareup.com, "Square Webhooks" and "Troubleshoot Webhooks" (repeated for 24 or 72 h: they differ)',
    ),
)
