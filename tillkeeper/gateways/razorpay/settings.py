"""Defines the settings of an account at Razorpay, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets


class RazorpaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "razorpay"`."""

    gateway: Literal["razorpay"]
    webhook_secrets: Secrets = Field(
        description="The webhook's secret, which is your own choice and not the API key's.  Events that Razorpay "
        "repeats may be signed with the one before: name both for a day."
    )
    key_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The id of the API key with which Razorpay is asked; rzp_live_ or rzp_test_ tells the mode.",
    )
    key_secret: OptionalSecret = Field(default=None, description="The API key's secret.")
    account_id: Annotated[str, Field(pattern=r"^acc_[A-Za-z0-9]+$")] | None = Field(
        default=None,
        description="Your account's id (acc_...), where a partner's webhook tells of several: events of others change "
        "nothing.",
    )
    order_ref_path: Annotated[str, Field(pattern=r"^(payment|order)(\.[^.]+)+$")] | None = Field(
        default=None,
        description="Where your order reference stands, beginning with payment. or order.  None looks at "
        "payment.notes.order_id, order.receipt, order.notes.order_id, then payment.order_id, which is Razorpay's own.",
    )
    payer_bears_fee: bool = Field(
        default=False,
        description="Whether your payers bear Razorpay's fee (Customer Fee Bearer), where payments do not tell: it is "
        "in their amount, and is not the order's.",
    )
    api_base: ApiBase = "https://api.razorpay.com"


ABOUT: Final = About(
    title="Razorpay",
    verifies="HMAC-SHA256 over the body; several secrets at once; no time is signed",
    uncovered="the header x-razorpay-event-id, which nothing signs: it is kept and never used, for whoever repeated a "
    "signed body under another id would make a second event of it",
    dedupes_by="the event's name, its object's id and its time, which are signed and the same in each repetition",
    acknowledges="200 without a body",
    queries="payments and refunds by their ids; payments by the receipt of their order, or by Razorpay's own order id",
    refunds_seen="what went back in all",
    set_up_with=("key_id", "key_secret"),
    checked="the package `razorpay` verifies and asks",
    sources=(
        "the package `razorpay`, `utility/utility.py`",
        "razorpay.com/docs, pages on webhooks, payments, orders, refunds and error reasons",
    ),
)
