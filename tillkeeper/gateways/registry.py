"""The gateways there are: being listed here is what makes one exist."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from pydantic import BaseModel, Field

from tillkeeper.gateways.alipay import Alipay, AlipaySettings
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.stripe import Stripe, StripeSettings
from tillkeeper.gateways.wechatpay import WeChatPay, WeChatPaySettings

AccountSettings = Annotated[AlipaySettings | StripeSettings | WeChatPaySettings, Field(discriminator="gateway")]


class Listed(msgspec.Struct, frozen=True):
    """One gateway: how its account is set up, and what is built from that."""

    settings: type[BaseModel]
    gateway: Callable[[str, Any], Gateway]


GATEWAYS: Final[Mapping[str, Listed]] = {
    "alipay": Listed(AlipaySettings, Alipay),
    "stripe": Listed(StripeSettings, Stripe),
    "wechatpay": Listed(WeChatPaySettings, WeChatPay),
}


def build(account: str, settings: AccountSettings) -> Gateway:
    """The gateway of one account.  `settings` is an instance of the model listed for its `gateway`."""
    return GATEWAYS[settings.gateway].gateway(account, settings)
