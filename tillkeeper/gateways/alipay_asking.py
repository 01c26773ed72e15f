"""Asking Alipay: requests signed like its own notices, and answers whose signature covers a piece of their raw text.

Sources: the package `alipay-sdk-python` (DefaultAlipayClient, SignatureUtils) for both signatures; Alipay's pages
"alipay.trade.query", "alipay.trade.fastpay.refund.query" and "公共错误码"; its Node SDK (antcertutil) for the serial
numbers of certificate mode.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways import strictjson
from tillkeeper.gateways.alipay_fields import CURRENCY, SIGN_TYPE, method_in, moment, money, signing_text
from tillkeeper.gateways.base import AskAgain, BadPayload, BadSignature, Call, CannotAsk, Denied, Heard, Question
from tillkeeper.gateways.chain import readable
from tillkeeper.gateways.fields import text, text_or_none
from tillkeeper.gateways.times import CHINA

PAYMENT_METHOD: Final = "alipay.trade.query"
REFUND_METHOD: Final = "alipay.trade.fastpay.refund.query"

# Where the answer stands; errors of Alipay's own front door stand elsewhere.
ANSWERS: Final = {"payment": "alipay_trade_query_response", "refund": "alipay_trade_fastpay_refund_query_response"}
FRONT_DOOR_ANSWER: Final = "error_response"

SUCCESS_CODE: Final = "10000"
AGAIN_CODES: Final = frozenset({"20000", "40005"})  # out of order; more calls than are allowed
AGAIN_SUB_CODES: Final = frozenset({"ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR", "aop.unknow-error"})
NOT_FOUND_SUB_CODE: Final = "ACQ.TRADE_NOT_EXIST"  # or the payer never opened it
# Without permission; a parameter or signature is missing, wrong, or does not fit together; not allowed.
DENIED_CODES: Final = frozenset({"20001", "40001", "40002", "40003", "40006"})
DENIED_SUB_CODES: Final = frozenset({"ACQ.ACCESS_FORBIDDEN"})

RSA_SIGNED: Final = "1.2.840.113549.1.1."  # the roots that count; a bundle holds some with SM2 and ECC as well
_WORD: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True):
    """What asking takes: the app's key, and in certificate mode the names of both sides' certificates."""

    app_id: str
    key: RSAPrivateKey
    serials: Mapping[str, str]

    def call(self, api_base: str, question: Question, now: datetime) -> Call:
        """The signed request that puts the question."""
        method, about = _asked(question)
        content = {"biz_content": json.dumps(about, ensure_ascii=False, separators=(",", ":"))}
        common = {
            "app_id": self.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": SIGN_TYPE,
            "timestamp": now.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            **self.serials,
        }
        signature = self.key.sign(signing_text(common | content).encode(), PKCS1v15(), SHA256())
        return Call(
            method="POST",
            url=f"{api_base}?{urlencode(common | {'sign': b64encode(signature).decode()})}",
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
            body=urlencode(content).encode(),
        )


def _asked(question: Question) -> tuple[str, dict[str, object]]:
    """Alipay's method and what it is told; its own trade number is the better name where it is known."""
    trade: dict[str, object] = (
        {"out_trade_no": question.order_ref} if question.payment_ref is None else {"trade_no": question.payment_ref}
    )
    if question.about == "payment":
        return PAYMENT_METHOD, trade
    if question.refund_ref is None:
        raise CannotAsk("a refund without its request number cannot be asked about")
    return REFUND_METHOD, trade | {"out_request_no": question.refund_ref, "query_options": ["gmt_refund_pay"]}


def serial_of(certificate: x509.Certificate) -> str:
    """How Alipay names a certificate: a digest of who issued it under which number."""
    written = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(written.encode(), usedforsecurity=False).hexdigest()


def serials_of_roots(bundle: str) -> str:
    """How Alipay names a bundle of roots."""
    roots = [it for it in readable(bundle) if it.signature_algorithm_oid.dotted_string.startswith(RSA_SIGNED)]
    return "_".join(serial_of(root) for root in roots)


class Cut(msgspec.Struct, frozen=True):
    """An answer in its pieces: the raw text that is signed, the signature, and the certificate it names."""

    signed: bytes
    sign: str | None
    cert_sn: str | None


def cut(question: Question, heard: Heard) -> Cut:
    """The pieces of an answer.  What is verified and what is read afterwards are the same bytes."""
    if heard.status == 429 or heard.status >= 500:  # noqa: PLR2004
        raise AskAgain(f"status {heard.status}")
    if heard.status != 200:  # noqa: PLR2004
        raise BadPayload(f"status {heard.status}")
    members = strictjson.members(heard.body)
    signed = members.get(ANSWERS[question.about], members.get(FRONT_DOOR_ANSWER))
    if signed is None:
        raise BadPayload("the answer is none to this question")
    beside = {name: strictjson.loads(members[name]) for name in ("sign", "alipay_cert_sn") if name in members}
    return Cut(signed=signed, sign=text_or_none(beside, "sign"), cert_sn=text_or_none(beside, "alipay_cert_sn"))


def read(question: Question, piece: Cut) -> Mapping[str, object] | None:
    """What the answer tells, or None where Alipay knows of no such trade.

    An error may come unsigned, for Alipay may not know whose key to use.  It is believed that much: that nothing is
    known.
    """
    content = strictjson.loads(piece.signed)
    code, sub_code = text(content, "code"), text_or_none(content, "sub_code")
    told = f"code {_word(code)}, sub_code {_word(sub_code)}"
    if code in AGAIN_CODES or sub_code in AGAIN_SUB_CODES:
        raise AskAgain(told)
    if code in DENIED_CODES or sub_code in DENIED_SUB_CODES:
        raise Denied(told)
    if piece.sign is None:
        raise BadSignature(f"the answer is not signed: {told}")
    _check_subject(question, content)
    if code == SUCCESS_CODE:
        return content if isinstance(content, dict) else None
    if sub_code == NOT_FOUND_SUB_CODE:
        return None
    raise BadPayload(told)


def _word(code: str | None) -> str | None:
    """A code, so far as it is one; it goes into a log."""
    return code if code is None or _WORD.fullmatch(code) else "of no form known"


def _check_subject(question: Question, content: object) -> None:
    """A genuine answer to another question is none to this."""
    asked = {
        "trade_no": question.payment_ref,
        "out_trade_no": question.order_ref if question.payment_ref is None else None,
        "out_request_no": question.refund_ref,
    }
    for name, ref in asked.items():
        told = text_or_none(content, name)
        if ref is not None and told is not None and told != ref:
            raise BadPayload(f"{name} of the answer is not the question's")


def payment_events(account: str, content: Mapping[str, object], told_at: datetime) -> list[PaymentEvent]:
    """What a trade says of itself.  One that was paid and then closed was given back whole."""
    status, paid_at = text(content, "trade_status"), text_or_none(content, "send_pay_date")
    if status not in KINDS:
        raise BadPayload("trade_status is none that is known")
    kind = KINDS[status]
    given_back = kind is Kind.PAYMENT_CANCELLED and paid_at is not None
    if given_back:
        kind = Kind.PAYMENT_SUCCEEDED
    expired = kind is Kind.PAYMENT_CANCELLED
    succeeded_at = moment("send_pay_date", paid_at) if kind is Kind.PAYMENT_SUCCEEDED and paid_at else None
    amount = money(content, "total_amount")
    payment = PaymentEvent(
        event_id="",
        kind=kind,
        account=account,
        occurred_at=succeeded_at or told_at,
        order_ref=text(content, "out_trade_no"),
        payment_ref=text(content, "trade_no"),
        amount=amount,
        currency=CURRENCY,
        failure=FailureClass.EXPIRED_UNPAID if expired else None,
        failure_code=status if expired else None,
        method=method_in(content.get("fund_bill_list"), "fund_channel"),
    )
    if not given_back:
        return [payment]
    return [payment, whole_refund(payment, told_at)]


def whole_refund(payment: PaymentEvent, told_at: datetime) -> PaymentEvent:
    """All of a payment, given back by then."""
    return PaymentEvent(
        event_id="",
        kind=Kind.REFUND_SUCCEEDED,
        account=payment.account,
        occurred_at=told_at,
        order_ref=payment.order_ref,
        payment_ref=payment.payment_ref,
        total=payment.amount,
        currency=CURRENCY,
    )


KINDS: Final[Mapping[str, Kind]] = {
    "WAIT_BUYER_PAY": Kind.PAYMENT_PENDING,
    "TRADE_SUCCESS": Kind.PAYMENT_SUCCEEDED,
    "TRADE_FINISHED": Kind.PAYMENT_SUCCEEDED,
    "TRADE_CLOSED": Kind.PAYMENT_CANCELLED,
}


def refund_events(account: str, content: Mapping[str, object], told_at: datetime) -> list[PaymentEvent]:
    """What is told of a refund.  Without refund_status it was not made, or not yet, whatever the code says."""
    status = text_or_none(content, "refund_status")
    if status is None:
        return []
    if status != "REFUND_SUCCESS":
        raise BadPayload("refund_status is none that is known")
    paid_at = text_or_none(content, "gmt_refund_pay")
    return [
        PaymentEvent(
            event_id="",
            kind=Kind.REFUND_SUCCEEDED,
            account=account,
            occurred_at=told_at if paid_at is None else moment("gmt_refund_pay", paid_at),
            order_ref=text(content, "out_trade_no"),
            payment_ref=text(content, "trade_no"),
            refund_ref=text(content, "out_request_no"),
            amount=money(content, "refund_amount"),
            currency=CURRENCY,
        )
    ]
