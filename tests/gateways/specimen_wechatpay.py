"""WeChat Pay v3 for the conformance suite: a platform certificate and a public key at once."""

import json

from specimen import (
    NOW,
    Asked,
    Keys,
    Layer,
    Specimen,
    certificate_pem,
    private_pem,
    public_pem,
    request_of,
    response_of,
    with_header,
)

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_body, wechatpay_signed

APIV3_KEY = "0123456789abcdef0123456789ABCDEF"
SERIAL = "5157F09EFDC096DE15EBE81A47057A7200000001"
KEY_ID = "PUB_KEY_ID_0114232134912410000000000000"
NOTICE_ID = "EV-2026100512000000"
PLAIN = b"""{"mchid": "1900000100", "appid": "wx8888888888888888", "out_trade_no": "ORDER-1",
"transaction_id": "4200000000202610050000000001", "trade_type": "JSAPI", "trade_state": "SUCCESS",
"bank_type": "CMB_DEBIT", "attach": "", "success_time": "2026-10-05T19:59:58+08:00", "payer": {"openid": "oUpF8uMuAJO"},
"amount": {"total": 12900, "payer_total": 12400, "currency": "CNY", "payer_currency": "CNY"}}"""
REFUND_ANSWER = {
    "refund_id": "50000000382026100500000000001",
    "out_refund_no": "R-1",
    "transaction_id": "4200000000202610050000000001",
    "out_trade_no": "ORDER-1",
    "channel": "ORIGINAL",
    "user_received_account": "招商银行信用卡0403",
    "success_time": "2026-10-05T19:59:58+08:00",
    "create_time": "2026-10-05T19:59:50+08:00",
    "status": "SUCCESS",
    "amount": {"total": 12900, "refund": 400, "payer_total": 12400, "payer_refund": 400, "currency": "CNY"},
}


def settings_of(keys: Keys) -> dict:
    return {
        "gateway": "wechatpay",
        "mch_id": "1900000100",
        "app_id": "wx8888888888888888",
        "apiv3_key": APIV3_KEY,
        "platform_certs": {SERIAL: certificate_pem(keys.own, int(SERIAL, 16))},
        "public_keys": {KEY_ID: public_pem(keys.other)},
        "merchant_serial": "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C",
        "merchant_private_key": private_pem(keys.other),
    }


def specimen(keys: Keys) -> Specimen:
    certificate, foreign = WeChatPayKey(SERIAL, keys.own), WeChatPayKey(SERIAL, keys.foreign)
    body = wechatpay_body(APIV3_KEY, NOW, "TRANSACTION.SUCCESS", PLAIN, id=NOTICE_ID)

    def sealed(body, *, key=certificate, now=NOW):
        return request_of(wechatpay_signed(key, now, body))

    def sealed_resource(plain):
        return sealed(wechatpay_body(APIV3_KEY, NOW, "TRANSACTION.SUCCESS", plain, id=NOTICE_ID))

    def asked(query, plain):
        return Asked(
            query=query,
            plain=plain,
            seal=lambda body: response_of(wechatpay_signed(certificate, NOW, body)),
            foreign=response_of(wechatpay_signed(foreign, NOW, plain)),
        )

    return Specimen(
        settings=settings_of(keys),
        gateway=WeChatPay("wechat-main", WeChatPaySettings.model_validate(settings_of(keys))),
        valid=sealed(body),
        foreign=sealed(body, key=foreign),
        with_signature=lambda request, signatures: with_header(request, "wechatpay-signature", signatures),
        layers={"body": Layer(plain=body, seal=sealed), "resource": Layer(plain=PLAIN, seal=sealed_resource)},
        at=lambda now: sealed(body, now=now),
        asked={
            "payment": asked(
                Query(about="payment", order_ref="ORDER-1", payment_ref="4200000000202610050000000001"), PLAIN
            ),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), PLAIN),
            "refund": asked(
                Query(about="refund", order_ref="ORDER-1", refund_ref="R-1"), json.dumps(REFUND_ANSWER).encode()
            ),
        },
    )
