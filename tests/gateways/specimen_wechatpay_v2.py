"""WeChat Pay v2 for the conformance suite.  Only payments are here: a refund's notice yields no event."""

import re

from specimen import Asked, Keys, Layer, Specimen, request_of, response_of

from tillkeeper.gateways.messages import Query, Request
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2
from tillkeeper.gateways.wechatpay_v2.settings import WeChatPayV2Settings
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import sign, xml

SETTINGS = {
    "gateway": "wechatpay_v2",
    "mch_id": "10000100",
    "app_id": "wx2421b1c4370ec43b",
    "api_key": "192006250b4c09247ec02edce69f6a2d",
}
COMMON = {
    "return_code": "SUCCESS",
    "appid": "wx2421b1c4370ec43b",
    "mch_id": "10000100",
    "nonce_str": "5d2b6c2a8db53831f7eda20af46e531c",
    "result_code": "SUCCESS",
}
PAYMENT = COMMON | {
    "attach": "支付测试",
    "bank_type": "CFT",
    "cash_fee": "12890",
    "coupon_count": "1",
    "coupon_fee_0": "10",
    "coupon_id_0": "10000",
    "fee_type": "CNY",
    "is_subscribe": "Y",
    "openid": "oUpF8uMEb4qRXf22hE3X68TekukE",
    "out_trade_no": "ORDER-1",
    "settlement_total_fee": "12890",
    "time_end": "20261005195958",
    "total_fee": "12900",
    "trade_type": "JSAPI",
    "transaction_id": "1004400740202610050005092168",
}
PAYMENT_ANSWER = PAYMENT | {"return_msg": "OK", "trade_state": "SUCCESS", "trade_state_desc": ""}
REFUND_ANSWER = COMMON | {
    "return_msg": "OK",
    "out_trade_no": "ORDER-1",
    "transaction_id": "1004400740202610050005092168",
    "total_fee": "12900",
    "refund_count": "1",
    "out_refund_no_0": "R-1",
    "refund_id_0": "50000408942026100507145868882",
    "refund_fee_0": "400",
    "refund_status_0": "SUCCESS",
    "refund_success_time_0": "2026-10-05 19:59:58",
    "refund_recv_accout_0": "支付用户零钱",
}
FOREIGN = "of somebody else, and as long as that"
_FIELD = re.compile(rb"<([^<>]*)>(?:<!\[CDATA\[)?([^<]*?)(?:\]\]>)?</\1>")


def sealed(body: bytes, key: str = SETTINGS["api_key"]) -> bytes:
    """Signs what a lenient reader makes of the bytes, and puts the signature in before the end."""
    pairs = [(name.decode(errors="replace"), value.decode(errors="replace")) for name, value in _FIELD.findall(body)]
    signature = b"<sign>%b</sign>" % sign(dict(pairs), key, "MD5").encode()
    end = body.rfind(b"</xml>")
    return body[:end] + signature + body[end:] if end >= 0 else body + signature


def request(body: bytes) -> Request:
    return request_of(({"Content-Type": "text/xml"}, body))


def response(body: bytes):
    return response_of(({"Content-Type": "text/xml", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))


def asked(query, fields):
    plain = xml(fields)
    return Asked(
        query=query,
        plain=plain,
        seal=lambda body: response(sealed(body)),
        foreign=response(sealed(plain, FOREIGN)),
        form="xml",
    )


def with_signature(request: Request, signatures: list[str]) -> Request:
    signs = b"".join(b"<sign>%b</sign>" % signature.encode(errors="surrogateescape") for signature in signatures)
    return Request(headers=request.headers, body=re.sub(rb"<sign>.*</sign>", lambda _: signs, request.body))


def specimen(keys: Keys) -> Specimen:
    plain = xml(PAYMENT)
    return Specimen(
        settings=SETTINGS,
        gateway=WeChatPayV2("wechat-old", WeChatPayV2Settings.model_validate(SETTINGS)),
        valid=request(sealed(plain)),
        foreign=request(sealed(plain, FOREIGN)),
        with_signature=with_signature,
        layers={"body": Layer(plain=plain, seal=lambda body: request(sealed(body)), form="xml")},
        at=None,
        hints=True,
        asked={
            "payment": asked(
                Query(about="payment", order_ref="ORDER-1", payment_ref=PAYMENT["transaction_id"]), PAYMENT_ANSWER
            ),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), PAYMENT_ANSWER),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="R-1"), REFUND_ANSWER),
        },
        covers="fields",
        unsigned=(b"\n",),
    )
