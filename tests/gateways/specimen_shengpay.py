"""ShengPay for the conformance suite."""

import json

from specimen import Asked, Keys, Layer, Specimen, private_pem, public_pem, request_of, response_of

from tillkeeper.gateways.messages import Query, Request
from tillkeeper.gateways.shengpay.gateway import ShengPay
from tillkeeper.gateways.shengpay.settings import ShengPaySettings
from tillkeeper.sandbox.simulators.shengpay.signing import sign

COMMON = {
    "returnCode": "SUCCESS",
    "returnMsg": "SUCCESS",
    "resultCode": "SUCCESS",
    "appId": "312343123132131331232",
    "mchId": "93762611",
    "nonceStr": "NotificationNonce1234567890",
}
PAYMENT = COMMON | {
    "openId": "15",
    "tradeType": "MWEB",
    "transactionId": "WP20261005000001",
    "outTradeNo": "ORDER-1",
    "totalFee": 12900,
    "bankType": "ICBC",
    "timeEnd": "20261005195958",
    "attach": '{"cardType":"DR","note":"a&b=c"}',
    "detail": "",
    "couponFee": 100,
    "couponId0": "10000",
    "cardNo": "1234",
    "cardType": "DC",
}
REFUND = COMMON | {
    "transactionId": "WP20261005000001",
    "outTradeNo": "ORDER-1",
    "refundId": "RFWP2026100500001",
    "outRefundNo": "R-1",
    "totalFee": "12900",
    "settlementTotalFee": "12900",
    "refundFee": "400",
    "settlementRefundFee": "400",
    "refundStatus": "SUCCESS",
    "refundSuccessTime": "20261005195958",
    "refundRequestSource": "API",
}
PAYMENT_ANSWER = PAYMENT | {"tradeState": "SUCCESS", "tradeStateDesc": "支付成功"}
HEADERS = {"Content-Type": "application/json; charset=UTF-8"}


def settings_of(keys: Keys) -> dict:
    return {
        "gateway": "shengpay",
        "mch_id": "93762611",
        "app_id": "312343123132131331232",
        "shengpay_public_key": public_pem(keys.own),
        "mch_private_key": private_pem(keys.other),
    }


def plain_of(fields) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode().replace(b"{", b"{\n", 1)


def sealed(key, body: bytes, sign_type: str = "RSA2") -> bytes:
    """Signs what a lenient reader makes of the bytes, and puts the signature in before the end."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(fields, dict):
        return body
    scheme = {"signType": sign_type}
    signature = sign(key, {name: value for name, value in (fields | scheme).items() if is_text(value)}, sign_type)
    more = json.dumps(scheme | {"sign": signature}).encode()[1:]
    end = body.rindex(b"}")
    return body[:end] + (b", " if fields else b"") + more + body[end + 1 :]


def is_text(value) -> bool:
    """Halves of surrogate pairs, which a lenient reader takes, cannot be signed by anybody."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def specimen(keys: Keys) -> Specimen:
    plain = plain_of(PAYMENT)

    def request(body: bytes) -> Request:
        return request_of((HEADERS, body))

    def with_signature(request: Request, signatures: list[str]) -> Request:
        end = request.body.rindex(b', "sign"')
        signs = b"".join(b', "sign": ' + json.dumps(signature).encode() for signature in signatures)
        return Request(headers=request.headers, body=request.body[:end] + signs + b"}")

    def asked(query, fields):
        def response(key, body):
            return response_of((HEADERS | {"Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, sealed(key, body)))

        plain = plain_of(fields)
        return Asked(
            query=query,
            plain=plain,
            seal=lambda body: response(keys.own, body),
            foreign=response(keys.foreign, plain),
        )

    return Specimen(
        settings=settings_of(keys),
        gateway=ShengPay("shengpay-main", ShengPaySettings.model_validate(settings_of(keys))),
        valid=request(sealed(keys.own, plain)),
        foreign=request(sealed(keys.foreign, plain)),
        with_signature=with_signature,
        layers={"body": Layer(plain=plain, seal=lambda body: request(sealed(keys.own, body)))},
        at=None,
        asked={
            "payment": asked(
                Query(about="payment", order_ref="ORDER-1", payment_ref="WP20261005000001"), PAYMENT_ANSWER
            ),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), PAYMENT_ANSWER),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="R-1"), REFUND),
        },
        covers="fields",
        unsigned=(b"\n", b'"detail": ""'),
    )
