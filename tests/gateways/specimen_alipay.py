"""Alipay's specimen."""

from datetime import timedelta
from urllib.parse import quote, unquote_to_bytes

from specimen import NOW, Keys, Layer, Specimen, public_pem, request_of

from sandbox.signing_alipay import AlipayTrade, alipay_delivery, alipay_form, alipay_signature, alipay_success
from tillkeeper.gateways.alipay import Alipay, AlipaySettings
from tillkeeper.gateways.base import Request

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


def specimen(keys: Keys) -> Specimen:
    settings = {
        "gateway": "alipay",
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "alipay_public_key": public_pem(keys.own),
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
        layers={"form": Layer(plain=plain(valid.body), seal=seal, is_form=True)},
        at=None,
    )


def plain(body: bytes) -> bytes:
    """A form without its signature."""
    return b"&".join(field for field in body.split(b"&") if not field.startswith((b"sign=", b"sign_type=")))


def with_signature(request: Request, signatures: list[str]) -> Request:
    signed = [b"sign=" + quote(sign, safe="", errors="surrogateescape").encode() for sign in signatures]
    return Request(headers=request.headers, body=b"&".join([plain(request.body), *signed, b"sign_type=RSA2"]))
