"""Defines the settings of an account at Flutterwave, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets

BASE_V3: Final = "https://api.flutterwave.com"
BASE_V4: Final = "https://f4bexperience.flutterwave.com"
TOKEN_URL: Final = "https://idp.flutterwave.com/realms/flutterwave/protocol/openid-connect/token"  # noqa: S105


class FlutterwaveSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "flutterwave"`."""

    gateway: Literal["flutterwave"]
    version: Literal["v3", "v4"] = Field(
        default="v4", description="Of Flutterwave's API and of its webhooks, v3 or v4.  With v3 secret_key is needed."
    )
    secret_hashes: Secrets = Field(
        description="The secret hash of the webhook (Settings > Webhooks): v4 signs with it, v3 sends it along.  While "
        "it is replaced, name both."
    )
    secret_key: OptionalSecret = Field(
        default=None, description="The API's secret key (FLWSECK-...), with which v3 is asked."
    )
    client_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The client id with which v4 is asked, together with client_secret."
    )
    client_secret: OptionalSecret = Field(default=None, description="The secret that belongs to client_id.")
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(
        default=None,
        description="The currency of refunds that tell none, as v3's never do.  None refuses them.",
    )
    api_base: ApiBase = BASE_V4
    token_url: ApiBase = Field(default=TOKEN_URL, description="Where v4 gives tokens for client_id and client_secret.")

    @model_validator(mode="after")
    def _can_ask(self) -> Self:
        if self.version == "v3" and self.secret_key is None:
            raise ValueError("version v3 needs secret_key: its webhooks prove nothing, and payments are fetched")
        if (self.client_id is None) is not (self.client_secret is None):
            raise ValueError("client_id and client_secret belong together")
        return self


ABOUT: Final = About(
    title="Flutterwave",
    verifies="v4: HMAC-SHA256 of the body, in base64, with the secret hash; v3: the header `verif-hash` is the secret "
    "hash itself; several hashes at once",
    uncovered="with v3 all of the body, for whoever has seen one delivery knows the secret: it only has the payment or "
    "refund fetched",
    dedupes_by="v4: the webhook's `id`; v3: what the fetched payment says",
    acknowledges="200 without a body",
    queries="charges (v3: transactions) by id, and by the reference that the merchant gave them; refunds by id",
    refunds_seen="nothing: a refund is asked about by its number; register it",
    set_up_with=("client_id", "client_secret"),
    checked="documents only; unsure are the events and statuses of refunds and chargebacks in v4",
    sources=("Flutterwave's pages on webhooks, verification, refunds and authentication, of v3 and of v4",),
)
