"""The gateways there are: being listed here is what makes one exist."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Union, cast

from pydantic import Field

from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.adyen import Adyen
from tillkeeper.gateways.alipay import Alipay
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.braintree import Braintree
from tillkeeper.gateways.checkout import Checkout
from tillkeeper.gateways.flutterwave import Flutterwave
from tillkeeper.gateways.gocardless import GoCardless
from tillkeeper.gateways.klarna import Klarna
from tillkeeper.gateways.lakala import Lakala
from tillkeeper.gateways.mercadopago import MercadoPago
from tillkeeper.gateways.mollie import Mollie
from tillkeeper.gateways.paypal import PayPal
from tillkeeper.gateways.paystack import Paystack
from tillkeeper.gateways.razorpay import Razorpay
from tillkeeper.gateways.shengpay import ShengPay
from tillkeeper.gateways.shopee import Shopee
from tillkeeper.gateways.square import Square
from tillkeeper.gateways.standard import Standard
from tillkeeper.gateways.stripe import Stripe
from tillkeeper.gateways.wechatpay import WeChatPay
from tillkeeper.gateways.wechatpay_v2 import WeChatPayV2

GATEWAYS: Final[Mapping[str, type[Gateway]]] = {
    it.name: it
    for it in (
        Adyen,
        Alipay,
        Braintree,
        Checkout,
        Flutterwave,
        GoCardless,
        Klarna,
        Lakala,
        MercadoPago,
        Mollie,
        PayPal,
        Paystack,
        Razorpay,
        ShengPay,
        Shopee,
        Square,
        Standard,
        Stripe,
        WeChatPay,
        WeChatPayV2,
    )
}

if TYPE_CHECKING:
    AccountSettings = AccountModel
else:  # any of their settings, told apart by `gateway`
    AccountSettings = Annotated[Union[tuple(it.settings for it in GATEWAYS.values())], Field(discriminator="gateway")]  # noqa: UP007


def build(account: str, settings: AccountSettings) -> Gateway:
    """The gateway of one account.  `settings` is an instance of the model listed for its `gateway`."""
    return cast("Callable[[str, AccountModel], Gateway]", GATEWAYS[settings.gateway])(account, settings)
