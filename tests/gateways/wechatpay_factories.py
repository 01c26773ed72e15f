"""WeChat Pay for tests: accounts, keys and notices."""

from datetime import timedelta

from specimen import NOW, request_of, rsa_keys
from specimen_wechatpay import APIV3_KEY, SERIAL, settings_of

from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.simulators.wechatpay.objects import wechatpay_refund, wechatpay_transaction
from tillkeeper.sandbox.simulators.wechatpay.signing import (
    WeChatPayKey,
    wechatpay_delivery,
)

KEYS = rsa_keys()
BY_CERTIFICATE = WeChatPayKey(SERIAL, KEYS.own)


def a_gateway(**settings):
    return THE_GATEWAY if not settings else made(**settings)


def made(**settings):
    return WeChatPay("wechat-main", WeChatPaySettings.model_validate(settings_of(KEYS) | settings))


THE_GATEWAY = made()  # reading a private key takes a while


def a_transaction(**more):
    return {
        **wechatpay_transaction(
            mch_id="1900000100",
            app_id="wx8888888888888888",
            order_ref="ORDER-1",
            payment_ref="4200001",
            amount=12900,
            at=NOW - timedelta(seconds=2),
        ),
        **more,
    }


def a_refund(**more):
    return {
        **wechatpay_refund(
            mch_id="1900000100",
            order_ref="ORDER-1",
            payment_ref="4200001",
            refund_ref="5030001",
            refund=400,
            total=12900,
            at=NOW - timedelta(seconds=3),
        ),
        **more,
    }


def events_of(event_type, resource, /, *, key=BY_CERTIFICATE, gateway=None, **notice):
    gateway = gateway or a_gateway()
    request = request_of(wechatpay_delivery(key, APIV3_KEY, NOW, event_type, resource, **notice))
    return gateway.parse(gateway.verify(request, NOW))


def event_of(event_type, resource, /, **more):
    (made,) = events_of(event_type, resource, **more)
    return made
