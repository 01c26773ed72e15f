"""Defines the settings of a Klarna account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret


class KlarnaSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "klarna"`."""

    gateway: Literal["klarna"]
    username: Annotated[str, Field(pattern=r"^[!-9;-~]{1,255}$")] = Field(
        description="The API credential's user name (Merchant portal > Settings > Klarna API credentials)."
    )
    password: OneSecret = Field(description="The API credential's password, with which orders are fetched.")
    api_base: ApiBase = "https://api.klarna.com"


ABOUT: Final = About(
    title="Klarna",
    verifies="nothing is signed; the order that a push or a notification names is fetched",
    uncovered="all of it: a delivery is only believed to name an order, and what Klarna then answers is what counts",
    dedupes_by="what the answer says",
    acknowledges="200 without a body; then the order is acknowledged at Klarna's API",
    queries="orders by their ids, with captures, what is still held, and refunds, also those made in Klarna's portal",
    refunds_seen="each refund, and what went back in all",
    checked="documents only",
    sources=(
        "Klarna's documentation of Checkout and Order Management",
        "klarna-order-management-api-php, its pages on models",
    ),
)
