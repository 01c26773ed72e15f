"""Defines the settings of an account at Paystack, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, Secrets

LIVE_BY_KEY_PREFIX: Final = {"sk_live_": True, "sk_test_": False}


class PaystackSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "paystack"`."""

    gateway: Literal["paystack"]
    secret_keys: Secrets = Field(
        description="The API's secret key (sk_live_... or sk_test_...), which signs webhooks and asks Paystack.  The "
        "first is the one to ask with; name the old one behind it while it is replaced."
    )
    api_base: ApiBase = "https://api.paystack.co"
    order_ref_path: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Where your order reference stands in a transaction, names with dots between them.  None looks at "
        "metadata.order_id, then takes the transaction's own reference.",
    )

    @model_validator(mode="after")
    def _one_mode(self) -> Self:
        if len({key[:8] for key in self.secret_keys} & LIVE_BY_KEY_PREFIX.keys()) > 1:
            raise ValueError("live and test keys need an account each, or test money would pay live orders")
        return self


ABOUT: Final = About(
    title="Paystack",
    verifies="HMAC-SHA512 of the body, in hexadecimal, with the API's secret key; several keys at once",
    dedupes_by="the event's name with the number of its transaction, refund or dispute, for Paystack gives no id; a "
    "refund whose webhook tells no number by what the list of its transaction's refunds says",
    acknowledges="200 without a body",
    queries="transactions by their reference, which is also the order's where nothing else is set; refunds by their "
    "number, or listed by their transaction's reference.  That a `reversed` transaction went back as a whole is unsure",
    refunds_seen="that all went back; refunds that are known are asked about by their number or their transaction",
    checked="documents only; unsure are the francs (XOF, RWF), taken as told in hundredths, and whether refunds can be "
    "listed by a transaction's reference, for documents speak of its id: where not, there is a case and no refund",
    sources=("Paystack's pages on webhooks, verifying payments, refunds and disputes", "Paystack's API reference"),
)
