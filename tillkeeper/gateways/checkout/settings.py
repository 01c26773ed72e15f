"""Defines the settings of a Checkout.com account, and describes the gateway for docs/gateways.md."""

from typing import Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets


class CheckoutSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "checkout"`."""

    gateway: Literal["checkout"]
    signature_keys: Secrets = Field(
        description="The webhook's signature key (Settings > Webhooks, or a workflow's action).  Name the old one too "
        "until its last repetitions are through."
    )
    secret_key: OptionalSecret = Field(
        default=None,
        description="The secret API key with which Checkout.com is asked; it needs the scope to read payments.",
    )
    api_base: ApiBase = "https://api.checkout.com"


ABOUT: Final = About(
    title="Checkout.com",
    verifies="HMAC-SHA256 over the body; several keys at once; no time is signed",
    dedupes_by="the event's `id`",
    acknowledges="200 without a body",
    queries="payments by their ids or by the order reference in `reference`, with what was captured, is still held and "
    "was given back; refunds by their action's id; that a payer's bank took a payment back is told by webhook alone",
    refunds_seen="what went back in all",
    set_up_with=("secret_key",),
    checked="documents only",
    sources=(
        'checkout.com/docs, "Set up your webhook receiver", "Event types", "API response codes"',
        'checkout.com/docs, "Format the amount value"',
        "not confirmed: the answers' lists of actions, and that a refund keeps its action's id while it is pending",
    ),
)
