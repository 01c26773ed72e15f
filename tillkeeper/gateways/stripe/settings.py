"""Defines the settings of an account at Stripe, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets
from tillkeeper.gateways.stripe.accounts import ACCOUNT_PATTERN


class StripeSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "stripe"`.  Secrets are whole, `whsec_` included."""

    gateway: Literal["stripe"]
    webhook_secrets: Secrets = Field(
        description="The endpoint's signing secrets, whole, with whsec_ (Developers > Webhooks).  While one is rolled, "
        "name both."
    )
    api_key: OptionalSecret = Field(
        default=None,
        description="The secret or restricted API key with which Stripe is asked.  It also tells live from test: "
        "events of the other mode are refused.",
    )
    api_base: ApiBase = "https://api.stripe.com"
    order_ref_path: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Where your order reference stands in Stripe's objects, names with dots between them.  None looks "
        "at metadata.order_id, then client_reference_id.",
    )
    account_id: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = Field(
        default=None,
        description="Your own account (acct_...), where the destination is an organization's and tells of several: "
        "events of others change nothing, and an organization's key asks on its behalf.  None has whatever comes with "
        "a `context` asked about with the account's own key.",
    )
    connected_account: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = Field(
        default=None,
        description="Of a Connect platform, the one connected account (acct_...) whose events these are; Stripe is "
        "asked on its behalf.  None takes your own account's alone: whoever controls a connected one could pay your "
        "orders.",
    )


ABOUT: Final = About(
    title="Stripe",
    verifies="HMAC-SHA256 over the time and the body, signed within 300 s; several secrets and signatures at once",
    dedupes_by="the event's `id`",
    acknowledges="200 without a body",
    queries="intents, charges, checkout sessions, refunds and disputes by their ids; intents by the order reference in "
    "their metadata, and the session in which one was paid; the list of events of the last 30 days",
    refunds_seen="what went back in all",
    set_up_with=("api_key",),
    checked="the package `stripe` signs",
    sources=("the package `stripe`, `_webhook.py`", "Stripe's API reference, pages on decline codes and on currencies"),
)
