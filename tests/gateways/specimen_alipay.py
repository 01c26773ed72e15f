"""Alipay's specimen."""

import json
from base64 import b64encode
from datetime import timedelta
from urllib.parse import quote, unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from specimen import NOW, Asked, Keys, Layer, Specimen, private_pem, public_pem, request_of, response_of

from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.messages import Query, Request
from tillkeeper.sandbox.simulators.alipay.objects import AlipayTrade, alipay_success
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery, alipay_form, alipay_signature

APP_ID = "2021004100000001"
SELLER_ID = "2088000000000001"
TRADE = AlipayTrade(
    app_id=APP_ID,
    seller_id=SELLER_ID,
    order_ref="ORDER-1",
    payment_ref="2026100522001400000000000001",
    amount=12900,
    created_at=NOW - timedelta(minutes=2),
)
FIELDS = alipay_success(TRADE, NOW - timedelta(minutes=1))
TRADE_ANSWER = {
    "code": "10000",
    "msg": "Success",
    "buyer_logon_id": "ada***@shop.example",
    "buyer_pay_amount": "129.00",
    "fund_bill_list": [{"amount": "129.00", "fund_channel": "ALIPAYACCOUNT"}],
    "out_trade_no": "ORDER-1",
    "send_pay_date": "2026-10-05 19:59:00",
    "total_amount": "129.00",
    "trade_no": "2026100522001400000000000001",
    "trade_status": "TRADE_SUCCESS",
}
REFUND_ANSWER = {
    "code": "10000",
    "msg": "Success",
    "gmt_refund_pay": "2026-10-05 19:59:30",
    "out_request_no": "R-1",
    "out_trade_no": "ORDER-1",
    "refund_amount": "4.00",
    "refund_status": "REFUND_SUCCESS",
    "total_amount": "129.00",
    "trade_no": "2026100522001400000000000001",
}


def answer(key, name, plain, *, more=b""):
    """A response as Alipay writes it: the signature, and what else stands beside the answer, come behind it."""
    sign = b64encode(key.sign(plain, PKCS1v15(), SHA256()))
    body = b'{"' + name.encode() + b'":' + plain + more + b',"sign":"' + sign + b'"}'
    return response_of(({"Content-Type": "text/html;charset=utf-8", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))


def asked(keys, query, name, content):
    plain = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Asked(
        query=query,
        plain=plain,
        seal=lambda plain: answer(keys.own, name, plain),
        foreign=answer(keys.foreign, name, plain),
    )


def specimen(keys: Keys) -> Specimen:
    settings = {
        "gateway": "alipay",
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "alipay_public_key": public_pem(keys.own),
        "app_private_key": private_pem(keys.other),
    }

    def seal(form: bytes) -> Request:
        """Signs what a lenient reader makes of the bytes, and puts the signature behind them."""
        pairs = [field.replace(b"+", b" ").partition(b"=") for field in form.split(b"&") if form]
        read = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)
        sign = alipay_signature(keys.own, b"&".join(name + b"=" + value for name, value in read))
        headers, _ = alipay_form([], sign, "utf-8")
        signed = b"sign=" + quote(sign, safe="").encode() + b"&sign_type=RSA2"
        return request_of((headers, form + b"&" + signed if form else signed))

    valid = request_of(alipay_delivery(keys.own, FIELDS))
    return Specimen(
        settings=settings,
        gateway=Alipay("alipay-main", AlipaySettings.model_validate(settings)),
        valid=valid,
        foreign=request_of(alipay_delivery(keys.foreign, FIELDS)),
        with_signature=with_signature,
        layers={"form": Layer(plain=plain(valid.body), seal=seal, form="form")},
        at=None,
        asked={
            "payment": asked(
                keys,
                Query(about="payment", order_ref="ORDER-1", payment_ref="2026100522001400000000000001"),
                "alipay_trade_query_response",
                TRADE_ANSWER,
            ),
            "order": asked(
                keys, Query(about="payment", order_ref="ORDER-1"), "alipay_trade_query_response", TRADE_ANSWER
            ),
            "refund": asked(
                keys,
                Query(about="refund", order_ref="ORDER-1", refund_ref="R-1"),
                "alipay_trade_fastpay_refund_query_response",
                REFUND_ANSWER,
            ),
        },
    )


def plain(body: bytes) -> bytes:
    """A form without its signature."""
    return b"&".join(field for field in body.split(b"&") if not field.startswith((b"sign=", b"sign_type=")))


def with_signature(request: Request, signatures: list[str]) -> Request:
    signed = [b"sign=" + quote(sign, safe="", errors="surrogateescape").encode() for sign in signatures]
    return Request(headers=request.headers, body=b"&".join([plain(request.body), *signed, b"sign_type=RSA2"]))
