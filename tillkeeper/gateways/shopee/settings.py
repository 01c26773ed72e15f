"""Defines the settings of a Shopee account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets

Number = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")]


class ShopeeSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "shopee"`."""

    gateway: Literal["shopee"]
    partner_keys: Secrets = Field(
        description="The app's partner key, as the text that the console shows.  While it is replaced name both, the "
        "new one first: that one signs our queries."
    )
    push_url: str = Field(
        pattern=r"^https?://[!-~]+$",
        description="The push URL that is registered for the app, letter for letter: it is part of what Shopee signs.",
    )
    partner_id: Number = Field(description="The app's partner id.")
    shop_id: Number = Field(
        description="The shop's id.  All shops of an app push to one URL: pushes about others are answered with "
        "success and change nothing."
    )
    access_token: OptionalSecret = Field(
        default=None,
        description="The shop's access token, with which Shopee is asked; it ends after four hours, so that whoever "
        "refreshes it must write it anew.  Without it no push comes to anything, for none tells an amount.",
    )
    api_base: ApiBase = "https://partner.shopeemobile.com"


ABOUT: Final = About(
    title="Shopee",
    title_zh="虾皮",
    verifies="HMAC-SHA256 over the registered URL and the body; several keys at once; no time is signed",
    dedupes_by="the order that it names, which is asked about: what the answer says makes the event",
    acknowledges="200 without a body, also for the push that tests the URL",
    queries="orders by their number, which is the payment's as well; each push is asked about, for it tells no amount",
    refunds_seen="that the order was cancelled, which gives all back",
    set_up_with=("access_token",),
    checked="documents only",
    sources=(
        "minchao/shopee-php, `SignatureGenerator` and `examples/webhook`",
        'Shopee Open Platform, "Push Mechanism", "v2.order.get_order_detail" and the page on signing calls',
        "not confirmed: the error words of the API, how long a push may take, and when it is repeated",
    ),
)
