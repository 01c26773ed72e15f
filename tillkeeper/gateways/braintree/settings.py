"""Defines the settings of an account at Braintree, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret


class BraintreeSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "braintree"`."""

    gateway: Literal["braintree"]
    merchant_id: Annotated[str, Field(min_length=1)] = Field(
        description="The merchant's id (Settings > Business).  Notifications for another count for nothing."
    )
    public_key: Annotated[str, Field(min_length=1)] = Field(
        description="The public key (Settings > API).  It picks one of the signatures, and is no secret."
    )
    private_key: OneSecret = Field(
        description="The private key beside it, which signs notifications and proves our queries."
    )
    api_base: ApiBase = "https://api.braintreegateway.com"


ABOUT: Final = About(
    title="Braintree",
    verifies="HMAC-SHA1 over the payload, keyed with SHA-1 of the private key, by the signature that stands beside "
    "the account's public key",
    dedupes_by="the notification's kind, its subject's id and its time, for it has no id",
    acknowledges="200 without a body; a GET with `bt_challenge` gets the public key and the challenge's HMAC",
    queries="transactions by their ids, refunds by the ids of their transactions; not by the order reference. "
    "A notification without status, type, amount or currency has Braintree asked as well",
    refunds_seen="nothing: a refund is a transaction of its own; register it",
    checked="the package `braintree` signs samples of every kind, and parses what the sandbox signs",
    sources=("the package `braintree`", "Braintree's pages Webhooks: Parse, Transaction Statuses, and Disputes"),
)
