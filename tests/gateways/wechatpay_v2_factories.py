"""WeChat Pay v2 for tests: accounts and notices."""

from datetime import UTC, datetime

from specimen import NOW
from specimen_wechatpay_v2 import COMMON, SETTINGS, request, response, sealed

from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2
from tillkeeper.gateways.wechatpay_v2.settings import WeChatPayV2Settings
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import sealed_info, xml

API_KEY = SETTINGS["api_key"]
PAID_AT = datetime(2026, 10, 5, 11, 59, 58, tzinfo=UTC)
REFUND = {
    "out_refund_no": "R-1",
    "out_trade_no": "ORDER-1",
    "refund_fee": "400",
    "refund_id": "50000408942026100507145868882",
    "refund_status": "SUCCESS",
    "success_time": "2026-10-05 19:59:58",
    "total_fee": "12900",
    "transaction_id": "1004400740202610050005092168",
}
BY_ORDER = Query(about="payment", order_ref="ORDER-1")
OF_REFUND = Query(about="refund", order_ref="ORDER-1", refund_ref="R-1")


def a_gateway(**settings):
    return WeChatPayV2("wechat-old", WeChatPayV2Settings.model_validate(SETTINGS | settings))


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


def refund_notice(refund=None, *, key=API_KEY, plain=None, **more):
    inner = xml(refund or REFUND, "root") if plain is None else plain
    return request(xml({**without(COMMON, "result_code"), "req_info": sealed_info(key, inner), **more}))


# Asking.


def answer_to(query, fields, *, gateway=None, status=200):
    body = sealed(xml(fields))
    signed = response(body)
    return (gateway or a_gateway()).read_response(
        query, Response(status=status, headers=signed.headers, body=body), now=NOW
    )
