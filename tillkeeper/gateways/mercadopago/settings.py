"""Defines the settings of an account at Mercado Pago, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret, Secrets


class MercadoPagoSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "mercadopago"`."""

    gateway: Literal["mercadopago"]
    webhook_secrets: Secrets = Field(
        description="The application's secret signatures (Your integrations > Webhooks).  While one is renewed, name "
        "both."
    )
    access_token: OneSecret = Field(
        description="The application's access token (APP_USR-... or TEST-...), with which payments are fetched: "
        "notices tell none of them."
    )
    api_base: ApiBase = "https://api.mercadopago.com"
    tolerance_s: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="How many seconds a notice may be old, or ahead.  None asks for no time, as Mercado Pago does; "
        "whether a repetition is signed anew is not documented.",
    )
    accept_unsigned: bool = Field(
        default=False,
        description="Whether calls without a signature, as IPN and QR codes send them, have the payment fetched that "
        "they name.  Anybody can send such: what they cause is limited, but it is calls to Mercado Pago all the same.",
    )


ABOUT: Final = About(
    title="Mercado Pago",
    verifies="HMAC-SHA256, in hexadecimal, of the payment's id in the query, `x-request-id` and the time; the time may "
    "be in seconds or milliseconds, and has a limit only if `tolerance_s` is set; several secrets at once",
    uncovered="all of the body, and of the query all but `data.id`: a notice only has the payment of that id fetched.  "
    "Of IPN calls and notices of QR codes nothing is signed: they are refused, or with `accept_unsigned` have a "
    "payment fetched, too",
    dedupes_by="what the fetched payment says, for a notice says nothing",
    acknowledges="200 without a body",
    queries="payments by their id, or by `external_reference`; refunds in their payment",
    refunds_seen="each refund, and what went back in all",
    checked="the package `mercadopago` verifies",
    sources=("the package `mercadopago`, `webhook/validator.py`", "Mercado Pago's pages on notifications and payments"),
)
