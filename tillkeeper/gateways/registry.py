"""Lists the gateways; one that is not listed here does not exist."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Union, cast

from pydantic import Field

from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.braintree.gateway import Braintree
from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.flutterwave.gateway import Flutterwave
from tillkeeper.gateways.gocardless.gateway import GoCardless
from tillkeeper.gateways.klarna.gateway import Klarna
from tillkeeper.gateways.lakala.gateway import Lakala
from tillkeeper.gateways.mercadopago.gateway import MercadoPago
from tillkeeper.gateways.mollie.gateway import Mollie
from tillkeeper.gateways.paypal.gateway import PayPal
from tillkeeper.gateways.paystack.gateway import Paystack
from tillkeeper.gateways.razorpay.gateway import Razorpay
from tillkeeper.gateways.shengpay.gateway import ShengPay
from tillkeeper.gateways.shopee.gateway import Shopee
from tillkeeper.gateways.square.gateway import Square
from tillkeeper.gateways.standard.gateway import Standard
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2

GATEWAYS: Final[Mapping[str, type[Gateway]]] = {
    gateway.name: gateway
    for gateway in (
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
    _ALL = tuple(gateway.settings for gateway in GATEWAYS.values())
    AccountSettings = Annotated[Union[_ALL], Field(discriminator="gateway")]  # noqa: UP007


def build(account: str, settings: AccountSettings) -> Gateway:
    """Returns the gateway of one account.  `settings` is an instance of the model listed for its `gateway`."""
    return cast("Callable[[str, AccountModel], Gateway]", GATEWAYS[settings.gateway])(account, settings)
