"""Defines the settings of an Alipay account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tillkeeper.domain.money import exponent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalPrivateKey, OptionalSecret
from tillkeeper.gateways.alipay.fields import YUAN
from tillkeeper.gateways.alipay.keys import TrustedKey, private_key_pem, trusted_certificate, trusted_public_key
from tillkeeper.gateways.kit.rsa import rsa_certificate, rsa_private_key

# Where the key that signs notices comes from.
MODES: Final = (("alipay_public_key",), ("alipay_cert", "alipay_root_cert"))


def _check_currency(currency: str) -> str:
    exponent(currency)
    return currency


class AlipaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "alipay"`: key mode or certificate mode, one of the two.

    `alipay_public_key` is Alipay's key of this app, not the app's own: bare base64, as the console shows it, or PEM.
    """

    gateway: Literal["alipay"]
    app_id: Annotated[str, Field(min_length=1)] = Field(
        description="The app's id in Alipay's open platform.  Notices for another app count for nothing."
    )
    seller_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The seller's user id (2088...), where several sellers share the app."
    )
    alipay_public_key: str | None = Field(
        default=None,
        description="Key mode: Alipay's public key for this app (支付宝公钥), not the app's own, as the console shows "
        "it or PEM.",
    )
    alipay_cert: str | None = Field(default=None, description="Certificate mode: alipayCertPublicKey_RSA2.crt.")
    alipay_root_cert: str | None = Field(
        default=None, description="Certificate mode: alipayRootCert.crt, which alipay_cert must be issued under."
    )
    app_cert: str | None = Field(
        default=None,
        description="Certificate mode: the app's own certificate (应用公钥证书), which queries name.  Without it "
        "Alipay is not asked.",
    )
    app_private_key: Annotated[OptionalPrivateKey, BeforeValidator(private_key_pem)] = Field(
        default=None, description="The app's private key (应用私钥), which signs queries."
    )
    app_auth_token: OptionalSecret = Field(
        default=None,
        description="For an app of a service provider (第三方应用): the token by which this merchant authorized it, "
        "which queries must carry.  One account for each merchant, told apart by `seller_id`.",
    )
    trans_currency: Annotated[str, AfterValidator(_check_currency)] = Field(
        default=YUAN,
        description="What trades are priced in where Alipay does not say (trans_currency): yuan, unless the account "
        "sells across borders; answers about refunds never say.",
    )
    api_base: ApiBase = "https://openapi.alipay.com/gateway.do"

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        names = [name for mode in MODES for name in mode]
        if tuple(name for name in names if getattr(self, name) is not None) not in MODES:
            raise ValueError("give either alipay_public_key, or both alipay_cert and alipay_root_cert")
        if self.app_cert is not None:
            self._check_app_cert(self.app_cert)
        self.trusted_key()
        return self

    def _check_app_cert(self, app_cert: str) -> None:
        if self.alipay_cert is None:
            raise ValueError("app_cert belongs to certificate mode; in key mode leave it out")
        key = rsa_certificate(app_cert)[1]
        if self.app_private_key is None or rsa_private_key(self.app_private_key).public_key() != key:
            raise ValueError("app_cert is not the certificate of app_private_key")

    def trusted_key(self) -> TrustedKey:
        """Returns the key that Alipay's notices and answers must be signed with.  Raises ValueError."""
        if self.alipay_public_key is not None:
            return trusted_public_key(self.alipay_public_key)
        return trusted_certificate(self.alipay_cert or "", self.alipay_root_cert or "")


ABOUT: Final = About(
    title="Alipay",
    title_zh="支付宝",
    verifies="RSA-SHA256 over the sorted form fields, with a public key or a certificate under Alipay's root",
    uncovered="no time is signed: a notice that is sent again is known by its `notify_id`.  The signature does not "
    "tell a field from a text that holds `&name=`: such texts are refused where it matters",
    dedupes_by="`notify_id`",
    acknowledges="200 with `success`",
    queries="trades by trade number or order reference; refunds by request number, for a trade tells of them only once "
    "all went back; answers' signatures are verified, in the writing that was signed: Alipay may escape slashes later",
    refunds_seen="that all went back; of a part nothing, for it is asked about by its request number alone",
    set_up_with=("alipay_public_key", "app_private_key"),
    checked="the package `alipay-sdk-python` signs",
    sources=(
        "the package `alipay-sdk-python`, `SignatureUtils`",
        "the package `alipay-sdk-java`, for answers whose slashes were escaped after signing",
        "Alipay's pages 异步通知 and alipay.trade.query, and its error-code tables",
    ),
)
