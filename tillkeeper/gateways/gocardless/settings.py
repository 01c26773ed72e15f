"""Defines the settings of a GoCardless account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret, Secrets


class GoCardlessSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "gocardless"`."""

    gateway: Literal["gocardless"]
    webhook_secrets: Secrets = Field(
        description="The webhook endpoints' secrets (Developers > Webhook endpoints), both while one is replaced."
    )
    access_token: OneSecret = Field(
        description="An access token that may read (Developers > Access tokens).  GoCardless tells no amounts, so it "
        "must be asked."
    )
    organisation: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Your organisation's id (OR...), where a partner's endpoint tells of several: events of others "
        "change nothing.",
    )
    api_base: ApiBase = "https://api.gocardless.com"
    order_ref_path: Annotated[str, Field(min_length=1)] = Field(
        default="metadata.order_id",
        description="Where your order reference stands in GoCardless's payments, names with dots between them.",
    )


ABOUT: Final = About(
    title="GoCardless",
    verifies="HMAC-SHA256 over the body; several secrets at once",
    dedupes_by="each event's own `id`; what is asked for, by what the answer says",
    acknowledges="200 without a body",
    queries="payments by their ids, with all their events; refunds by their ids",
    refunds_seen="what went back in all",
    checked="the package `gocardless-pro` verifies, reads and asks; the list of events with `include` against "
    "documents only",
    sources=("the package `gocardless-pro`", "GoCardless's API reference, pages on events, payments and refunds"),
)
