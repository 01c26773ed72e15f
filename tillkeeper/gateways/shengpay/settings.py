"""Defines the settings of a ShengPay account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalPrivateKey
from tillkeeper.gateways.kit.rsa import rsa_public_key
from tillkeeper.gateways.shengpay.signature import SignType


def _check_public_key(pem: str) -> str:
    rsa_public_key(pem)
    return pem


class ShengPaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "shengpay"`."""

    gateway: Literal["shengpay"]
    mch_id: Annotated[str, Field(min_length=1)] = Field(
        description="The merchant number (商户号).  Notices for another count for nothing."
    )
    app_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The app's id (appId).  Queries need it; where it is set, notices for another count for nothing.",
    )
    shengpay_public_key: Annotated[str, Field(repr=False), AfterValidator(_check_public_key)] = Field(
        description="ShengPay's public key (盛付通公钥), as PEM; test and production have one each."
    )
    sign_type: SignType = Field(
        default="RSA2",
        description="The signType that your orders are made with: RSA2 (SHA-256), or RSA (SHA-1) of old accounts.  It "
        "is never taken from what arrives.",
    )
    mch_private_key: OptionalPrivateKey = Field(
        default=None, description="The merchant's private key (商户私钥), as PEM, which signs queries."
    )
    api_base: ApiBase = "https://mchapi.shengpay.com"


ABOUT: Final = About(
    title="ShengPay H5 quick pay",
    title_zh="盛付通",
    verifies="RSA over all fields but `sign` that are not blank, sorted by name, SHA-256 or SHA-1 as the account says",
    uncovered="the signature is over the fields, not over the layout of the JSON around them, nor over the names of "
    "blank fields.  It does not tell a field from a text that holds `&name=`: such texts are refused where it matters",
    dedupes_by="`transactionId` of payments; `refundId` and the status of refunds",
    acknowledges="200 with the text SUCCESS",
    queries="payments by ShengPay's number or the order reference, refunds by `outRefundNo`, once `app_id` and "
    "`mch_private_key` are set; answers' signatures are verified",
    refunds_seen="that something went back: refunds that are known are asked about, or a case tells it",
    set_up_with=("app_id", "mch_private_key"),
    checked="documents only, for there is no official package; two writings of the signature are held against each "
    "other.  Unsure: whether a failed payment has a notice, a notice's content type, and the production address in "
    "`api_base`, which ShengPay tells each merchant",
    sources=("ShengPay's repository shengpay-h5-pay-integration, `references/`",),
)
