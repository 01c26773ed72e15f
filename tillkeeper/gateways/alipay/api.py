"""Builds queries to Alipay and reads the responses: signed like its own notices, and answers whose signature covers a
piece of their raw text.

Sources: the package `alipay-sdk-python` (DefaultAlipayClient, SignatureUtils) for both signatures; Alipay's pages
"alipay.trade.query", "alipay.trade.fastpay.refund.query" and "公共错误码".
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tillkeeper.gateways.alipay.fields import SIGN_TYPE, signing_text
from tillkeeper.gateways.alipay.keys import TrustedKey
from tillkeeper.gateways.alipay.webhook import strict_signature
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Unavailable
from tillkeeper.gateways.kit import form, strictjson
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.kit.rsa import signature_of
from tillkeeper.gateways.kit.times import CHINA
from tillkeeper.gateways.messages import Call, Query, Response

PAYMENT_METHOD: Final = "alipay.trade.query"
REFUND_METHOD: Final = "alipay.trade.fastpay.refund.query"

# Where the answer stands; errors of Alipay's own front door stand elsewhere.
ANSWERS: Final = {"payment": "alipay_trade_query_response", "refund": "alipay_trade_fastpay_refund_query_response"}
FRONT_DOOR_ANSWER: Final = "error_response"

SUCCESS_CODE: Final = "10000"
RETRY_CODES: Final = frozenset({"20000", "40005"})  # out of order; more calls than are allowed
RETRY_SUB_CODES: Final = frozenset({"ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR", "aop.unknow-error"})
NOT_FOUND_SUB_CODE: Final = "ACQ.TRADE_NOT_EXIST"  # or the payer never opened it
# Without permission; a parameter or signature is missing, wrong, or does not fit together; not allowed.
DENIED_CODES: Final = frozenset({"20001", "40001", "40002", "40003", "40006"})
DENIED_SUB_CODES: Final = frozenset({"ACQ.ACCESS_FORBIDDEN"})

_WORD: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What queries are signed with: the app's key, in certificate mode the names of both sides' certificates, and for
    a service provider's app the token of the merchant that authorized it."""

    app_id: str
    key: RSAPrivateKey
    serials: Mapping[str, str]
    app_auth_token: str | None

    def call(self, api_base: str, query: Query, now: datetime) -> Call:
        """Returns the signed request that puts the query."""
        method, subject = _method_and_subject(query)
        content = {"biz_content": json.dumps(subject, ensure_ascii=False, separators=(",", ":"))}
        common = self._common_fields(method, now)
        sign = signature_of(self.key, signing_text(common | content).encode())
        return Call(
            method="POST",
            url=f"{api_base}?{urlencode(common | {'sign': sign})}",
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
            body=urlencode(content).encode(),
        )

    def _common_fields(self, method: str, now: datetime) -> dict[str, str]:
        return {
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


def _method_and_subject(query: Query) -> tuple[str, dict[str, object]]:
    """Returns Alipay's method, and what the query is about; its own trade number is the better name where it is
    known."""
    trade: dict[str, object] = (
        {"out_trade_no": query.order_ref} if query.payment_ref is None else {"trade_no": query.payment_ref}
    )
    if query.about == "payment":
        return PAYMENT_METHOD, trade
    if query.refund_ref is None:
        raise CannotQuery("a refund without its request number cannot be asked about")
    return REFUND_METHOD, trade | {"out_request_no": query.refund_ref, "query_options": ["gmt_refund_pay"]}


def content_of(query: Query, response: Response, trusted: TrustedKey, now: datetime) -> Mapping[str, object] | None:
    """Returns what a signed answer says, or None where Alipay knows of no such trade.

    An error may come unsigned, for Alipay may not know whose key to use.  It is believed that much: that nothing is
    known.
    """
    answer = _signed_answer(query, response)
    if answer.sign is None:
        return _read(query, answer.content, is_signed=False)
    return _read(query, _signed_content(answer, answer.sign, trusted, now), is_signed=True)


class SignedAnswer(msgspec.Struct, frozen=True):
    """An answer in its pieces: what is signed, in UTF-8; the charset it came in; the signature; and the certificate
    that it names."""

    content: bytes
    charset: str
    sign: str | None
    cert_sn: str | None

    def variants(self) -> Iterator[tuple[bytes, bytes]]:
        """Yields what the signature may be over, best first, each with what it says: as received, in the charset that
        we asked for, and either with `/` for an escaped one, for Alipay may escape what it has signed."""
        for content in dict.fromkeys((self.content, self.content.replace(rb"\/", b"/"))):
            for charset in dict.fromkeys((self.charset, form.UTF_8)):
                yield content.decode().encode(charset), content


def _signed_answer(query: Query, response: Response) -> SignedAnswer:
    check_status(response)
    charset, body = _decoded(response)
    members = strictjson.members(body)
    content = members.get(ANSWERS[query.about], members.get(FRONT_DOOR_ANSWER))
    if content is None:
        raise BadPayload("the answer is none to this query")
    beside = {name: strictjson.loads(members[name]) for name in ("sign", "alipay_cert_sn") if name in members}
    return SignedAnswer(content, charset, text_or_none(beside, "sign"), text_or_none(beside, "alipay_cert_sn"))


def _signed_content(answer: SignedAnswer, sign: str, trusted: TrustedKey, now: datetime) -> bytes:
    """Returns the answer in the one of its variants that was signed.  That one is read, and no other."""
    trusted.check_time(now)
    if trusted.cert_sn is not None and answer.cert_sn not in {None, trusted.cert_sn}:
        raise BadSignature("the answer is signed with another certificate than alipay_cert; was it renewed?")
    signature = strict_signature(sign)
    for signed, content in answer.variants():
        if trusted.has_signed(signature, signed):
            return content
    raise BadSignature(f"the signature is not by {trusted.label}")


def _decoded(response: Response) -> tuple[str, bytes]:
    """Returns the charset of an answer, and its body in UTF-8.  Alipay answers in Chinese charsets where it could not
    read the one that was asked for."""
    charset = form.charset_in(" ".join(response.headers.get("content-type", ()))) or form.UTF_8
    try:
        return charset, response.body.decode(charset).encode()
    except UnicodeDecodeError:
        return form.UTF_8, response.body  # it declares another than it is in


def _read(query: Query, signed: bytes, *, is_signed: bool) -> Mapping[str, object] | None:
    content = strictjson.loads(signed)
    code, sub_code = text(content, "code"), text_or_none(content, "sub_code")
    _check_codes(code, sub_code)
    if not is_signed:
        raise BadSignature(f"the answer is not signed: {_shown(code, sub_code)}")
    _check_subject(query, content)
    if code == SUCCESS_CODE:
        return content if isinstance(content, dict) else None
    if sub_code == NOT_FOUND_SUB_CODE:
        return None
    raise BadPayload(_shown(code, sub_code))


def _check_codes(code: str, sub_code: str | None) -> None:
    """Raises for what may come unsigned: that nothing is known, or that the query was no good."""
    if code in RETRY_CODES or sub_code in RETRY_SUB_CODES:
        raise Unavailable(_shown(code, sub_code))
    if code in DENIED_CODES or sub_code in DENIED_SUB_CODES:
        raise AccessDenied(_shown(code, sub_code))


def _shown(code: str, sub_code: str | None) -> str:
    return f"code {_word(code)}, sub_code {_word(sub_code)}"


def _word(code: str | None) -> str | None:
    """Returns a code as far as it is one, for it goes into a log."""
    return code if code is None or _WORD.fullmatch(code) else "of no form known"


def _check_subject(query: Query, content: object) -> None:
    """Raises BadPayload for a genuine answer to another query, which is none to this."""
    refs = {
        "trade_no": query.payment_ref,
        "out_trade_no": query.order_ref if query.payment_ref is None else None,
        "out_request_no": query.refund_ref,
    }
    for name, ref in refs.items():
        answered = text_or_none(content, name)
        if ref is not None and answered is not None and answered != ref:
            raise BadPayload(f"{name} of the answer is not the query's")
