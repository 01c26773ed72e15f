"""A refund is heard, and the payment's own success was lost: what the facts imply is asked, and the answer makes it
true, in every mode of Alipay and WeChat Pay."""

import json
from datetime import timedelta

import pytest
import specimen_alipay as alipay
import specimen_wechatpay as v3
import specimen_wechatpay_v2 as v2
from specimen import NOW, private_pem, public_pem, request_of, response_of, rsa_keys

from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2
from tillkeeper.gateways.wechatpay_v2.settings import WeChatPayV2Settings
from tillkeeper.sandbox.simulators.alipay.objects import alipay_refund
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery
from tillkeeper.sandbox.simulators.wechatpay.objects import wechatpay_refund, wechatpay_transaction
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_delivery, wechatpay_signed
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import sealed_info, xml

KEYS = rsa_keys()
DUE, BACK = 12900, 3000
PAID_AT, BACK_AT = NOW - timedelta(minutes=2), NOW - timedelta(minutes=1)
NUMBER = "4200000000202610050000000001"
SUB = {"sp_mchid": "1900000100", "sub_mchid": "1900000109"}


class AlipaysTrade:
    """`priced` is what the trade is priced in where Alipay says so."""

    def __init__(self, priced="CNY", **settings):
        told = {"gateway": "alipay", "app_id": alipay.APP_ID, "app_private_key": private_pem(KEYS.other)} | settings
        self.currency = priced
        self.abroad = {} if priced == "CNY" else {"trans_currency": priced}
        self.gateway = Alipay("main", AlipaySettings.model_validate(told | {"alipay_public_key": public_pem(KEYS.own)}))

    def refund_heard(self):
        refund = alipay_refund(alipay.TRADE, PAID_AT, BACK_AT, total=BACK, refund_ref="R-1", **self.abroad)
        return request_of(alipay_delivery(KEYS.own, refund))

    def answered(self, query):
        assert query.about == "payment"
        return alipay.answer(
            KEYS.own, "alipay_trade_query_response", json.dumps(alipay.TRADE_ANSWER | self.abroad).encode()
        )


class WeChatsTransaction:
    """`of` is whose it is, in the fields of the mode."""

    currency = "CNY"

    def __init__(self, of=None, **settings):
        self.of = of or {}
        self.key = WeChatPayKey(v3.SERIAL, KEYS.own)
        told = WeChatPaySettings.model_validate(v3.settings_of(KEYS) | settings)
        self.gateway = WeChatPay("main", told)

    def named(self, resource):
        return {name: value for name, value in resource.items() if name != "mchid" or not self.of} | self.of

    def refund_heard(self):
        refund = wechatpay_refund(
            mch_id="1900000100",
            order_ref="ORDER-1",
            payment_ref=NUMBER,
            refund_ref="50300",
            refund=BACK,
            total=DUE,
            at=BACK_AT,
        )
        return request_of(wechatpay_delivery(self.key, v3.APIV3_KEY, NOW, "REFUND.SUCCESS", self.named(refund)))

    def answered(self, query):
        assert query.about == "payment"
        told = wechatpay_transaction(
            mch_id="1900000100",
            app_id="wx8888888888888888",
            order_ref="ORDER-1",
            payment_ref=NUMBER,
            amount=DUE,
            at=PAID_AT,
            trade_state="REFUND",
        )
        return response_of(wechatpay_signed(self.key, NOW, json.dumps(self.named(told)).encode()))


class WeChatsOldTransaction:
    currency = "CNY"

    def __init__(self, of=None, **settings):
        self.of = of or {}
        self.gateway = WeChatPayV2("main", WeChatPayV2Settings.model_validate(v2.SETTINGS | settings))

    def refund_heard(self):
        """It says which, and nothing that counts."""
        inner = xml({"out_refund_no": "R-1"}, "root")
        sealed = {"req_info": sealed_info(v2.SETTINGS["api_key"], inner)}
        outer = {name: value for name, value in v2.COMMON.items() if name != "result_code"}
        return v2.request(xml(outer | sealed | self.of))

    def answered(self, query):
        if query.about == "refund":
            return v2.response(v2.sealed(xml(v2.REFUND_ANSWER | self.of | {"refund_fee_0": str(BACK)})))
        return v2.response(v2.sealed(xml(v2.PAYMENT_ANSWER | self.of | {"trade_state": "REFUND"})))


MODES = {
    "Alipay": lambda: AlipaysTrade(seller_id=alipay.SELLER_ID),
    "Alipay, across borders": lambda: AlipaysTrade(priced="THB"),
    "Alipay, of a service provider": lambda: AlipaysTrade(app_auth_token="201510BBaabdb44d8fd04607abf8d5931ec75D84"),
    "WeChat Pay": WeChatsTransaction,
    "WeChat Pay, of a service provider": lambda: WeChatsTransaction(SUB, sub_mch_ids=["1900000109"]),
    "WeChat Pay v2": WeChatsOldTransaction,
    "WeChat Pay v2, of a service provider": lambda: WeChatsOldTransaction(
        {"sub_mch_id": "10000109"}, sub_mch_ids=["10000109"]
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_refund_heard_alone_has_its_payment_asked_about_and_comes_true(mode):
    told = MODES[mode]()
    order = Order(order_ref="ORDER-1", amount=DUE, currency=told.currency, accounts=frozenset({"main"}))
    verified = told.gateway.verify(told.refund_heard(), NOW)
    facts, waiting, asked = OrderFacts(), list(told.gateway.queries_for(verified)), []
    for event in told.gateway.parse(verified):
        facts = apply(facts, event)
    if not waiting:
        assert summarize(order, facts).status is Status.PROCESSING
    while waiting or (implies := implied_money(order, facts)):
        if not waiting:
            waiting = [Query(about="payment", order_ref="ORDER-1", payment_ref=imply.payment_ref) for imply in implies]
        query = waiting.pop(0)
        asked.append(query)
        assert len(asked) < 5, asked
        assert told.gateway.query_request(query, now=NOW, nonce="n")
        answer = told.gateway.read_response(query, told.answered(query), now=NOW)
        for event in answer.events:
            facts = apply(facts, event)
        waiting += [each for each in answer.also if each not in asked]
    summary = summarize(order, facts)
    assert (summary.status, summary.captured, summary.refunded) == (Status.PARTIALLY_REFUNDED, DUE, BACK)
