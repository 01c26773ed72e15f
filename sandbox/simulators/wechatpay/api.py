"""Simulates WeChat Pay's API v3 as far as Tillkeeper queries it: transactions by either number, refunds, trade bills.

A query is signed over method, path, time, nonce and body; answers are signed over time, nonce and body."""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tillkeeper.sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from tillkeeper.sandbox.formats import Json, compact_json, http_date, word_of
from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord
from tillkeeper.sandbox.simulators.wechatpay.bills import made_at, packed, trade_bill
from tillkeeper.sandbox.simulators.wechatpay.objects import rfc3339, wechatpay_refund_id
from tillkeeper.sandbox.simulators.wechatpay.signing import (
    ONLY_WHEN_PAID,
    WeChatPayKey,
    WeChatPaySigner,
    wechatpay_signed,
)

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"

FRESH_S: Final = 300

_PAIR: Final = re.compile(r'(\w+)="([^"]*)"')

TRADE_STATES: Final[Mapping[PaymentState, tuple[str, str]]] = {
    PaymentState.CREATED: ("NOTPAY", "订单未支付"),
    PaymentState.PENDING: ("USERPAYING", "需要用户输入支付密码"),
    PaymentState.FAILED: ("PAYERROR", "支付失败(其他原因，如银行返回失败)"),
    PaymentState.CANCELLED: ("CLOSED", "订单已关闭"),
    PaymentState.SUCCEEDED: ("SUCCESS", "支付成功"),
}

REVOKED: Final = ("REVOKED", "订单已撤销")

PAY_FAIL: Final = ("PAY_FAIL", "扣款失败")

REFUNDED: Final = ("REFUND", "订单发生过退款，退款详情请查询退款单")

BANK: Final = "招商银行信用卡0403"


BILL_FILE: Final = "bill file"

BILLS_FOR: Final = timedelta(days=90)


class WeChatPayApi:
    """One merchant's."""

    def __init__(self, signer: "WeChatPaySigner", ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger.of(signer.account)
        self._forger: WeChatPayKey | None = None

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        """One query."""
        if (problem := self._problem_with(request, now)) is not None:
            return _error(401, "SIGN_ERROR", problem, about="nothing")
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        sub_mch_id, is_by_provider = self._signer.sub_mch_id, parts[:3] == ["v3", "pay", "partner"]
        if is_by_provider:
            del parts[2]
        match request.method, parts:
            case "GET", ["v3", "pay", "transactions", ("id" | "out-trade-no") as kind, ref]:
                merchant = request.first("sp_mchid" if is_by_provider else "mchid")
                if (merchant, request.first("sub_mchid") or None) != (self._signer.mch_id, sub_mch_id):
                    return _error(400, "PARAM_ERROR", "参数错误: mchid", about="payment", ref=ref)
                return self._transaction(kind, ref, as_of)
            case "GET", ["v3", "certificates"]:
                certificate = platform_certificate(self._signer.key, now)
                body = wechatpay_certificates(self._signer.apiv3_key, [certificate])
                return ApiResponse(body=body, about="nothing", summary="certificates")
            case "GET", ["v3", "refund", "domestic", "refunds", ref]:
                is_served = (request.first("sub_mchid") or None) == sub_mch_id
                return self._refund(ref if is_served else "", as_of)
            case _:
                return self._of_bills(request, parts, now)

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """WeChat Pay's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return _error(429, "FREQUENCY_LIMITED", "频率超限", about="nothing")
        return _error(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用", about="nothing")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Errors are signed too; the file of a bill is not."""
        if content.about == BILL_FILE:
            headers = {"Content-Type": "application/x-gzip", "Date": http_date(now)}
            body = content.body[: len(content.body) // 2] if forged else content.body
            return SignedResponse(status=content.status, headers=headers, body=body)
        headers, body = wechatpay_signed(self._impostor() if forged else self._signer.key, now, content.body)
        headers = {name: value for name, value in headers.items() if name != "User-Agent"}
        return SignedResponse(
            status=content.status,
            headers={**headers, "Content-Type": "application/json; charset=utf-8", "Date": http_date(now)},
            body=body,
        )

    def _impostor(self) -> WeChatPayKey:
        if self._forger is None:
            key = new_rsa_key()
            self._forger = WeChatPayKey(self._signer.key.serial, key)
        return self._forger

    def _problem_with(self, request: ApiRequest, now: datetime) -> str | None:
        """Returns why the query is not the merchant's."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        pairs = dict(_PAIR.findall(rest))
        if scheme != SCHEME or pairs.keys() != {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}:
            return "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
        if pairs["mchid"] != self._signer.mch_id or pairs["serial_no"] != self._signer.merchant_serial:
            return "商户号与证书序列号不匹配"
        if not pairs["timestamp"].isdigit() or abs(int(pairs["timestamp"]) - now.timestamp()) > FRESH_S:
            return "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
        lines = (
            request.method,
            request.target,
            pairs["timestamp"],
            pairs["nonce_str"],
            request.body.decode(errors="replace"),
        )
        text = "".join(f"{line}\n" for line in lines)
        try:
            signature = b64decode(pairs["signature"], validate=True)
            self._signer.merchant_key.public_key().verify(signature, text.encode(), PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return "错误的签名，验签失败"
        return None

    def _of_bills(self, request: ApiRequest, parts: Sequence[str], now: datetime) -> ApiResponse:
        match request.method, parts:
            case "GET", ["v3", "bill", "tradebill"]:
                return self._bill(request, now)
            case "GET", ["v3", "billdownload", "file"]:
                return self._bill_file(request)
            case _:
                return _error(404, "RESOURCE_NOT_EXISTS", "请求的资源不存在", about="nothing")

    def _bill(self, request: ApiRequest, now: datetime) -> ApiResponse:
        """Where the bill is; the token is its day."""
        day = _day(request.first("bill_date"))
        if day is None or not now - BILLS_FOR < made_at(day) or request.first("tar_type") != "GZIP":
            return _error(400, "INVALID_REQUEST", "请检查bill_date，并重新调用", about="bill")
        if now < made_at(day):
            return _error(400, "STATEMENT_CREATING", "账单生成中", about="bill", ref=str(day))
        bill = self._trades(day)
        if bill is None:
            return _error(400, "NO_STATEMENT_EXIST", "请求的账单文件不存在", about="bill", ref=str(day))
        url = f"http://{request.headers['host']}/v3/billdownload/file?token={day}&tartype=gzip"
        digest = hashlib.sha1(bill, usedforsecurity=False).hexdigest()
        content = {"download_url": url, "hash_type": "SHA1", "hash_value": digest}
        return _found(content, about="bill", ref=str(day), order_ref="", summary=f"{bill.count(b'JSAPI')} trades")

    def _bill_file(self, request: ApiRequest) -> ApiResponse:
        day = _day(request.first("token"))
        bill = None if day is None else self._trades(day)
        if bill is None:
            return _error(400, "INVALID_REQUEST", "下载地址已失效", about="bill")
        return ApiResponse(body=packed(bill), about=BILL_FILE, ref=str(day), summary=f"{len(bill)} bytes")

    def _trades(self, day: date) -> bytes | None:
        signer = self._signer
        return trade_bill(self._ledger, day, mch_id=signer.mch_id, app_id=signer.app_id, sub_mch_id=signer.sub_mch_id)

    def _transaction(self, kind: str, ref: str, as_of: datetime) -> ApiResponse:
        """transaction_id exists from the payment on; before that only out_trade_no leads there."""
        if kind == "out-trade-no":
            record = self._ledger.payment_of_order(ref, as_of)
        else:
            record = self._ledger.payment(ref, as_of)
            if record is not None and record.paid_at is None:
                record = None
        if record is None:
            order_ref = ref if kind == "out-trade-no" else ""
            return _error(404, "ORDER_NOT_EXIST", "订单不存在", about="payment", ref=ref, order_ref=order_ref)
        state, description = _trade_state(record)
        story = record.story
        content = self._signer.transaction(
            story,
            amount=record.captured or story.amount,
            at=record.paid_at or record.at,
            trade_state=state,
            trade_state_desc=description,
        )
        if record.paid_at is None:
            content = {name: value for name, value in content.items() if name not in ONLY_WHEN_PAID}
        return _found(content, about="payment", ref=ref, order_ref=story.order_ref, summary=state)

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        """By the merchant's number alone."""
        record, refund = self._ledger.refund(ref, as_of)
        if record is None or refund is None:
            return _error(404, "RESOURCE_NOT_EXISTS", "退款单不存在", about="refund", ref=ref)
        content = _refund(record, refund)
        return _found(content, about="refund", ref=ref, order_ref=record.story.order_ref, summary=content["status"])


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _trade_state(record: PaymentRecord) -> tuple[str, str]:
    if record.refunds:
        return REFUNDED
    if record.event_type == "REVOKED":
        return REVOKED
    return PAY_FAIL if record.event_type == PAY_FAIL[0] else TRADE_STATES[record.state]


def _refund(record: PaymentRecord, refund: RefundRecord) -> Json:
    story, status = record.story, refund.event_type.removeprefix("REFUND.")
    content: dict[str, Any] = {
        "refund_id": wechatpay_refund_id(refund.refund_ref),
        "out_refund_no": refund.refund_ref,
        "transaction_id": story.payment_ref,
        "out_trade_no": story.order_ref,
        "channel": "ORIGINAL",
        "user_received_account": BANK,
        "create_time": rfc3339(refund.asked_at),
        "status": status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": record.captured,
            "refund": refund.amount,
            "payer_total": record.captured,
            "payer_refund": refund.amount,
            "settlement_refund": refund.amount,
            "settlement_total": record.captured,
            "discount_refund": 0,
            "currency": "CNY",
        },
    }
    if status == "SUCCESS":
        content["success_time"] = rfc3339(refund.at)
    return content


def _found(content: Json, *, about: str, ref: str, order_ref: str, summary: str) -> ApiResponse:
    return ApiResponse(body=compact_json(content), about=about, ref=ref, order_ref=order_ref, summary=summary)


def _error(status: int, code: str, message: str, *, about: str, ref: str = "", order_ref: str = "") -> ApiResponse:
    body = compact_json({"code": code, "message": message})
    return ApiResponse(status=status, body=body, about=about, ref=ref, order_ref=order_ref, summary=code)


def wechatpay_certificates(apiv3_key: str, certificates: Sequence[x509.Certificate]) -> bytes:
    """Returns the list of platform certificates, each encrypted for the merchant."""
    listed = []
    for certificate in certificates:
        nonce = word_of("certificate", str(certificate.serial_number))[:12]
        pem = certificate.public_bytes(Encoding.PEM)
        sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), pem, b"certificate")
        listed.append(
            {
                "serial_no": f"{certificate.serial_number:X}",
                "effective_time": rfc3339(certificate.not_valid_before_utc),
                "expire_time": rfc3339(certificate.not_valid_after_utc),
                "encrypt_certificate": {
                    "algorithm": "AEAD_AES_256_GCM",
                    "nonce": nonce,
                    "associated_data": "certificate",
                    "ciphertext": b64encode(sealed).decode(),
                },
            }
        )
    return json.dumps({"data": listed}, separators=(",", ":")).encode()


def platform_certificate(key: WeChatPayKey, now: datetime) -> x509.Certificate:
    """Returns a certificate of the key's, valid for years around now; for a public key, one that it might have had."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    is_hex = not key.serial.startswith("PUB_KEY_ID_")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private_key.public_key())
        .serial_number(int(key.serial if is_hex else key.serial.removeprefix("PUB_KEY_ID_"), 16))
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=4 * 365))
        .sign(key.private_key, SHA256())
    )
