"""Defines the settings of a WeChat Pay account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import ROTATED_MAX, AccountModel, ApiBase, OneSecret, OptionalPrivateKey
from tillkeeper.gateways.kit.rsa import rsa_certificate, rsa_public_key
from tillkeeper.gateways.wechatpay.keys import serial_of

APIV3_KEY_BYTES: Final = 32
SUB_MERCHANTS_MAX: Final = 20  # each may have to be asked, one after the other
MCH_ID: Final = (
    "The merchant number (商户号), or a service provider's own (服务商商户号).  Notices for another count for nothing."
)
SUB_MCH_IDS: Final = (
    "Of a service provider (服务商): the sub-merchants (子商户号) whose payments count; all where none is named.  "
    "They are asked about one after the other, once they are named; make an account for each where their order numbers "
    "may be the same."
)
SubMerchants = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=SUB_MERCHANTS_MAX)]


def _check_apiv3_key(key: str) -> str:
    if len(key.encode()) != APIV3_KEY_BYTES:
        raise ValueError(f"apiv3_key has {APIV3_KEY_BYTES} characters")
    return key


def _check_certificates(certificates: dict[str, str]) -> dict[str, str]:
    """Raises ValueError for a certificate under another's serial: it would verify what it did not sign."""
    for serial, pem in certificates.items():
        if serial_of(f"{rsa_certificate(pem)[0]:x}") != serial_of(serial):
            raise ValueError(f"platform_certs: the certificate under {serial} has another serial number")
    return certificates


def _check_public_keys(keys: dict[str, str]) -> dict[str, str]:
    for pem in keys.values():
        rsa_public_key(pem)
    return keys


class WeChatPaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "wechatpay"`.  At least one platform certificate or public key is needed."""

    gateway: Literal["wechatpay"]
    mch_id: Annotated[str, Field(min_length=1)] = Field(description=MCH_ID)
    sub_mch_ids: SubMerchants = Field(default=(), description=SUB_MCH_IDS)
    app_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The app's id, where several apps of the merchant share the notify address."
    )
    apiv3_key: Annotated[OneSecret, AfterValidator(_check_apiv3_key)] = Field(
        description="The API v3 key (APIv3密钥), 32 characters, which opens what is encrypted in a notice."
    )
    platform_certs: Annotated[
        dict[str, str], Field(max_length=ROTATED_MAX, repr=False), AfterValidator(_check_certificates)
    ] = Field(default={}, description="Platform certificates (平台证书) by serial number.")
    public_keys: Annotated[
        dict[str, str], Field(max_length=ROTATED_MAX, repr=False), AfterValidator(_check_public_keys)
    ] = Field(default={}, description="WeChat Pay's public keys (微信支付公钥) by id.")
    merchant_serial: str | None = Field(
        default=None, description="The merchant certificate's serial number (商户API证书序列号), which queries name."
    )
    merchant_private_key: OptionalPrivateKey = Field(
        default=None, description="That certificate's private key (apiclient_key.pem), which signs queries."
    )
    api_base: ApiBase = "https://api.mch.weixin.qq.com"

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if not self.platform_certs and not self.public_keys:
            raise ValueError("platform_certs or public_keys must name a key of WeChat Pay's")
        return self


ABOUT: Final = About(
    title="WeChat Pay v3",
    title_zh="微信支付",
    verifies="RSA-SHA256 over time, nonce and body, signed within 300 s, with the platform certificate, in its time, "
    "or the public key that the delivery names; the resource in it opens with AES-256-GCM",
    dedupes_by="the notice's `id`",
    acknowledges="204 without a body",
    queries="transactions by WeChat Pay's number or the order reference; refunds by `out_refund_no`, for there is no "
    "query for all refunds of a payment; answers' signatures are verified.  A service provider asks in the name "
    "of one sub-merchant after the other; abroad (apihk.mch.weixin.qq.com) the paths are those of the API there",
    refunds_seen="that something went back: refunds that are known are asked about, or a case tells it",
    set_up_with=("public_keys", "merchant_serial", "merchant_private_key"),
    checked="the package `wechatpayv3` signs",
    sources=(
        "wechatpay-go `core/notify`",
        "the package `wechatpayv3`",
        "WeChat Pay's page 回调通知注意事项",
        "its pages 支付通知, 合单支付通知, 退款结果通知, 扣款结果通知 and 分账动账通知, for either sort of merchant",
    ),
)
