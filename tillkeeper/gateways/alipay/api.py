"""Asking Alipay: requests signed like its own notices, and answers whose signature covers a piece of their raw text.

Sources: the package `alipay-sdk-python` (DefaultAlipayClient, SignatureUtils) for both signatures; Alipay's pages
"alipay.trade.query", "alipay.trade.fastpay.refund.query" and "公共错误码"; its Node SDK (antcertutil) for the serial
numbers of certificate mode.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
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
from tillkeeper.gateways.alipay.fields import SIGN_TYPE, currency_in, method_in, moment, money, signing_text
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Unavailable
from tillkeeper.gateways.kit import form, strictjson
from tillkeeper.gateways.kit.chain import readable
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.kit.times import CHINA
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Call, Query, Response

PAYMENT_METHOD: Final = "alipay.trade.query"
REFUND_METHOD: Final = "alipay.trade.fastpay.refund.query"

# Where the answer stands; errors of Alipay's own front door stand elsewhere.
ANSWERS: Final = {"payment": "alipay_trade_query_response", "refund": "alipay_trade_fastpay_refund_query_response"}
FRONT_DOOR_ANSWER: Final = "error_response"

SUCCESS_CODE: Final = "10000"
REFUND_SUCCESS: Final = "REFUND_SUCCESS"
AGAIN_CODES: Final = frozenset({"20000", "40005"})  # out of order; more calls than are allowed
AGAIN_SUB_CODES: Final = frozenset({"ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR", "aop.unknow-error"})
NOT_FOUND_SUB_CODE: Final = "ACQ.TRADE_NOT_EXIST"  # or the payer never opened it
# Without permission; a parameter or signature is missing, wrong, or does not fit together; not allowed.
DENIED_CODES: Final = frozenset({"20001", "40001", "40002", "40003", "40006"})
DENIED_SUB_CODES: Final = frozenset({"ACQ.ACCESS_FORBIDDEN"})

RSA_SIGNED: Final = "1.2.840.113549.1.1."  # the roots that count; a bundle holds some with SM2 and ECC as well
_WORD: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What asking takes: the app's key, in certificate mode the names of both sides' certificates, and for a service
    provider's app the token of the merchant that authorized it."""

    app_id: str
    key: RSAPrivateKey
    serials: Mapping[str, str]
    app_auth_token: str | None

    def call(self, api_base: str, query: Query, now: datetime) -> Call:
        """The signed request that puts the query."""
        method, about = _asked(query)
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
            **({} if self.app_auth_token is None else {"app_auth_token": self.app_auth_token}),
        }
        signature = self.key.sign(signing_text(common | content).encode(), PKCS1v15(), SHA256())
        return Call(
            method="POST",
            url=f"{api_base}?{urlencode(common | {'sign': b64encode(signature).decode()})}",
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
            body=urlencode(content).encode(),
        )


def _asked(query: Query) -> tuple[str, dict[str, object]]:
    """Alipay's method and what it is told; its own trade number is the better name where it is known."""
    trade: dict[str, object] = (
        {"out_trade_no": query.order_ref} if query.payment_ref is None else {"trade_no": query.payment_ref}
    )
    if query.about == "payment":
        return PAYMENT_METHOD, trade
    if query.refund_ref is None:
        raise CannotQuery("a refund without its request number cannot be asked about")
    return REFUND_METHOD, trade | {"out_request_no": query.refund_ref, "query_options": ["gmt_refund_pay"]}


def serial_of(certificate: x509.Certificate) -> str:
    """How Alipay names a certificate: a digest of who issued it under which number."""
    written = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(written.encode(), usedforsecurity=False).hexdigest()


def serials_of_roots(bundle: str) -> str:
    """How Alipay names a bundle of roots."""
    roots = [it for it in readable(bundle) if it.signature_algorithm_oid.dotted_string.startswith(RSA_SIGNED)]
    return "_".join(serial_of(root) for root in roots)


class Cut(msgspec.Struct, frozen=True):
    """An answer in its pieces: what is signed, in UTF-8; the charset it came in; the signature; and the certificate
    that it names."""

    content: bytes
    charset: str
    sign: str | None
    cert_sn: str | None

    def writings(self) -> Iterator[tuple[bytes, bytes]]:
        """What the signature may be over, best first, each with what it says: as received, in the charset that we
        asked for, and either with `/` for an escaped one, for Alipay may escape what it has signed."""
        for content in dict.fromkeys((self.content, self.content.replace(rb"\/", b"/"))):
            for charset in dict.fromkeys((self.charset, form.UTF_8)):
                yield content.decode().encode(charset), content


def cut(query: Query, response: Response) -> Cut:
    """The pieces of an answer."""
    check_status(response)
    charset, body = _decoded(response)
    members = strictjson.members(body)
    content = members.get(ANSWERS[query.about], members.get(FRONT_DOOR_ANSWER))
    if content is None:
        raise BadPayload("the answer is none to this question")
    beside = {name: strictjson.loads(members[name]) for name in ("sign", "alipay_cert_sn") if name in members}
    return Cut(content, charset, text_or_none(beside, "sign"), text_or_none(beside, "alipay_cert_sn"))


def _decoded(response: Response) -> tuple[str, bytes]:
    """The charset of an answer, and its body in UTF-8.  Alipay answers in Chinese charsets where it could not read
    the one that was asked for."""
    charset = form.charset_in(" ".join(response.headers.get("content-type", ()))) or form.UTF_8
    try:
        return charset, response.body.decode(charset).encode()
    except UnicodeDecodeError:
        return form.UTF_8, response.body  # it says another than it is in


def read(query: Query, signed: bytes, *, is_signed: bool) -> Mapping[str, object] | None:
    """What the answer tells, or None where Alipay knows of no such trade.

    An error may come unsigned, for Alipay may not know whose key to use.  It is believed that much: that nothing is
    known.
    """
    content = strictjson.loads(signed)
    code, sub_code = text(content, "code"), text_or_none(content, "sub_code")
    told = f"code {_word(code)}, sub_code {_word(sub_code)}"
    if code in AGAIN_CODES or sub_code in AGAIN_SUB_CODES:
        raise Unavailable(told)
    if code in DENIED_CODES or sub_code in DENIED_SUB_CODES:
        raise AccessDenied(told)
    if not is_signed:
        raise BadSignature(f"the answer is not signed: {told}")
    _check_subject(query, content)
    if code == SUCCESS_CODE:
        return content if isinstance(content, dict) else None
    if sub_code == NOT_FOUND_SUB_CODE:
        return None
    raise BadPayload(told)


def _word(code: str | None) -> str | None:
    """A code, so far as it is one; it goes into a log."""
    return code if code is None or _WORD.fullmatch(code) else "of no form known"


def _check_subject(query: Query, content: object) -> None:
    """A genuine answer to another query is none to this."""
    asked = {
        "trade_no": query.payment_ref,
        "out_trade_no": query.order_ref if query.payment_ref is None else None,
        "out_request_no": query.refund_ref,
    }
    for name, ref in asked.items():
        told = text_or_none(content, name)
        if ref is not None and told is not None and told != ref:
            raise BadPayload(f"{name} of the answer is not the question's")


def payment_events(
    account: str, content: Mapping[str, object], told_at: datetime, trans_currency: str
) -> list[PaymentEvent]:
    """What a trade says of itself.  One that was paid and then closed was given back whole.

    Until the payer has opened it a trade has no number, and nothing happened to it.
    """
    status, paid_at = text(content, "trade_status"), text_or_none(content, "send_pay_date")
    currency = currency_in(content, trans_currency)
    if status not in KINDS:
        unknown_word("trade_status", status)
    if status not in KINDS or currency is None:
        return []
    kind = KINDS[status]
    given_back = kind is Kind.PAYMENT_CANCELLED and paid_at is not None
    if given_back:
        kind = Kind.PAYMENT_SUCCEEDED
    if kind is not Kind.PAYMENT_SUCCEEDED and text_or_none(content, "trade_no") is None:
        return []
    expired = kind is Kind.PAYMENT_CANCELLED
    succeeded_at = moment("send_pay_date", paid_at) if kind is Kind.PAYMENT_SUCCEEDED and paid_at else None
    payment = PaymentEvent(
        event_id="",
        kind=kind,
        account=account,
        occurred_at=succeeded_at or told_at,
        order_ref=text(content, "out_trade_no"),
        payment_ref=text(content, "trade_no"),
        amount=money(content, "total_amount", currency),
        currency=currency,
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
        currency=payment.currency,
    )


KINDS: Final[Mapping[str, Kind]] = {
    "WAIT_BUYER_PAY": Kind.PAYMENT_PENDING,
    "TRADE_PENDING": Kind.PAYMENT_PENDING,  # paid, and the seller's account cannot take it yet
    "TRADE_SUCCESS": Kind.PAYMENT_SUCCEEDED,
    "TRADE_FINISHED": Kind.PAYMENT_SUCCEEDED,
    "TRADE_CLOSED": Kind.PAYMENT_CANCELLED,
}


def refund_events(
    account: str, content: Mapping[str, object], told_at: datetime, trans_currency: str
) -> list[PaymentEvent]:
    """What is told of a refund.  Without refund_status it was not made, or not yet, whatever the code says."""
    status, currency = text_or_none(content, "refund_status"), currency_in(content, trans_currency)
    if status not in {None, REFUND_SUCCESS}:
        unknown_word("refund_status", status)
    if status != REFUND_SUCCESS or currency is None:
        return []
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
            amount=money(content, "refund_amount", currency),
            currency=currency,
        )
    ]
