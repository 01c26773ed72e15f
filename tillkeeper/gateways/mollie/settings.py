"""Defines the settings of a Mollie account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import ROTATED_MAX, AccountModel, ApiBase, OneSecret, Secret


class MollieSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "mollie"`."""

    gateway: Literal["mollie"]
    api_key: OneSecret = Field(
        description="The API key with which Mollie is asked (Developers > API keys), test_ or live_: it also tells "
        "the mode, and payments of the other one are refused."
    )
    signing_secrets: Annotated[tuple[Secret, ...], Field(max_length=ROTATED_MAX, repr=False)] = Field(
        default=(),
        description="The signing secrets of next-gen webhooks (Developers > Webhooks), if you subscribe to any.",
    )
    api_base: ApiBase = "https://api.mollie.com"
    order_ref_path: Annotated[str, Field(min_length=1)] = Field(
        default="metadata.order_id",
        description="Where your order reference stands in Mollie's payments, names with dots between them.",
    )


ABOUT: Final = About(
    title="Mollie",
    verifies="classic: nothing is signed, and Mollie is asked; next-gen: HMAC-SHA256 over the body, several secrets",
    uncovered="a classic call is only believed to name a payment, and what Mollie then answers is what counts",
    dedupes_by="next-gen: the event's `id`; classic: what the answer says",
    acknowledges="200 without a body, also for a payment that nobody knows",
    queries="payments by their ids, with refunds and chargebacks; payments of a payment link or of an order of the "
    "Orders API; refunds",
    refunds_seen="each refund, and what went back in all",
    checked="the package `mollie-api-python` asks and reads; signatures and next-gen events against documents only",
    sources=("Mollie's documentation on webhooks and its API reference", "mollie-api-php, `SignatureValidator`"),
)
