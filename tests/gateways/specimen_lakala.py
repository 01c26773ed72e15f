"""Lakala for the conformance suite: its cashier, where payments and refunds can be asked about."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, private_pem, request_of, response_of, with_header

from tillkeeper.gateways.lakala.gateway import Lakala
from tillkeeper.gateways.lakala.settings import LakalaSettings
from tillkeeper.gateways.messages import Query, Request
from tillkeeper.sandbox.simulators.lakala.signing import sign
from tillkeeper.sandbox.simulators.lakala.simulator import certificate_of

TRADE = {
    "acc_trade_no": "2022011822001470651424354488",
    "acc_type": "00",
    "busi_type": "SCPAY",
    "log_no": "66212380030451",
    "pay_mode": "ALIPAY",
    "payer_amount": 12800,
    "trade_amount": 12900,
    "trade_no": "2026100566210002570007",
    "trade_status": "S",
    "trade_time": "20261005195958",
    "trade_type": "PAY",
}
ORDER = {
    "channel_id": "10",
    "merchant_no": "82239105398007K",
    "order_create_time": "20261005195000",
    "order_efficient_time": "20261005205000",
    "order_status": "2",
    "out_order_no": "ORDER-1",
    "pay_order_no": "26100511012001101011025385338",
    "term_no": "C9597363",
    "total_amount": 12900,
}
REFUND_TRADE = TRADE | {
    "trade_no": "2026100566210002570009",
    "trade_type": "REFUND",
    "trade_amount": 400,
    "origin_trade_no": "2026100566210002570007",
}
NOTICE = ORDER | {"order_trade_info": TRADE}
REFUND_NOTICE = ORDER | {"order_status": "6", "order_trade_info": REFUND_TRADE}
AGGREGATED = {
    "out_trade_no": "ORDER-1",
    "trade_no": "2026100566210002570007",
    "log_no": "66210002570007",
    "acc_trade_no": "4200001212202109078945008028",
    "account_type": "WECHAT",
    "merchant_no": "82239105398007K",
    "trade_status": "SUCCESS",
    "total_amount": "12900",
    "payer_amount": "12800",
    "trade_time": "20261005195958",
}
# The shape of the official sample of 2021.
OLD = {
    "payOrderNo": "21090611012001970631000463034",
    "merchantOrderNo": "ORDER-1",
    "orderInfo": None,
    "merchantNo": "82239105398007K",
    "termId": "47781282",
    "channelId": "10000038",
    "currency": "156",
    "amount": 1,
    "tradeType": "PAY",
    "payStatus": "S",
    "notifyStatus": 0,
    "orderCreateTime": "2026-10-05T05:19:43.000+00:00",
    "payTime": "2026-10-05T05:19:43.000+00:00",
    "remark": "",
    "lklOrderNo": "2021090666210003610012",
    "tradeTime": "20261005131943",
    "actualPayAmount": 1,
    "logNo": "66210003610012",
}
ORDER_ANSWER = ORDER | {"order_status": "6", "order_trade_info_list": [REFUND_TRADE, TRADE]}
APP_ID = "OP00000003"


def settings_of(keys: Keys) -> dict:
    return {
        "gateway": "lakala",
        "merchant_no": "82239105398007K",
        "platform_cert": certificate_of(keys.own),
        "cashier": True,
        "term_no": "C9597363",
        "app_id": APP_ID,
        "merchant_serial": "00dfba8194c41b84cf",
        "merchant_private_key": private_pem(keys.other),
    }


def plain_of(fields) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def posted(key, body: bytes, at=NOW, nonce: str = "9003323344") -> Request:
    timestamp = str(int(at.timestamp()))
    told = f'timestamp="{timestamp}",nonce_str="{nonce}",signature="{sign(key, (timestamp, nonce), body)}"'
    return request_of(({"Authorization": f"LKLAPI-SHA256withRSA {told}", "Content-Type": "application/json"}, body))


def headers_of(key, body: bytes) -> dict:
    lines = (APP_ID, "0171b9d0ee73", str(int(NOW.timestamp())), "aB3dE6gH9jK2")
    names = ("Lklapi-Appid", "Lklapi-Serial", "Lklapi-Timestamp", "Lklapi-Nonce", "Lklapi-Signature")
    told = dict(zip(names, (*lines, sign(key, lines, body)), strict=True))
    return told | {"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}


def answer_of(fields, code: str = "000000") -> bytes:
    return plain_of({"msg": "操作成功", "resp_time": "20261005200000", "code": code, "resp_data": fields})


def specimen(keys: Keys) -> Specimen:
    plain = plain_of(NOTICE)
    valid = posted(keys.own, plain)

    def with_signature(request: Request, signatures: list[str]) -> Request:
        head = request.header("authorization").partition(",signature=")[0]
        told = "".join(f',signature="{signature}"' for signature in signatures)
        return with_header(request, "authorization", [head + told])

    def asked(query):
        plain = answer_of(ORDER_ANSWER)
        return Asked(
            query=query,
            plain=plain,
            seal=lambda body: response_of((headers_of(keys.own, body), body)),
            foreign=response_of((headers_of(keys.foreign, plain), plain)),
        )

    by_number = Query(about="payment", order_ref="ORDER-1", payment_ref="2026100566210002570007")
    return Specimen(
        settings=settings_of(keys),
        gateway=Lakala("lakala-main", LakalaSettings.model_validate(settings_of(keys))),
        valid=valid,
        foreign=posted(keys.foreign, plain),
        with_signature=with_signature,
        layers={"body": Layer(plain=plain, seal=lambda body: posted(keys.own, body))},
        at=None,
        asked={
            "payment": asked(by_number),
            "order": asked(Query(about="payment", order_ref="ORDER-1")),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="2026100566210002570009")),
        },
        deciding=frozenset({"order_status", "order_trade_info", "trade_status", "trade_type", "merchant_no"}),
    )
