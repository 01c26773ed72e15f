"""Builds queries to Lakala and reads the responses: signed over five lines with the merchant's key, and what answers
say.

Sources: o.lakala.com document 1004 (signing of requests and answers), 1111 (tradequery), its page "收银台订单查询";
the Java SDK zkmio/lakala-sdk for field names of requests.  No list of codes was found: only what words say is used.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import check_subject
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.rsa import signature_of
from tillkeeper.gateways.kit.stand_in import is_by_order
from tillkeeper.gateways.kit.times import CHINA
from tillkeeper.gateways.lakala import aggregated, cashier
from tillkeeper.gateways.lakala.fields import Fields
from tillkeeper.gateways.lakala.keys import TrustedCertificate, label_of_signer
from tillkeeper.gateways.lakala.webhook import NONCE, SCHEME
from tillkeeper.gateways.messages import Call, Query, Request, Response

SIGNATURE_HEADER: Final = "lklapi-signature"
SIGNED_HEADERS: Final = ("lklapi-appid", "lklapi-serial", "lklapi-timestamp", "lklapi-nonce")
TRADE_PATH: Final = "/api/v3/labs/query/tradequery"
ORDER_PATH: Final = "/api/v3/ccss/counter/order/query"
NONCE_CHARS: Final = 12
VERSION: Final = "3.0"

OK_CODES: Final = frozenset({"BBS00000", "000000"})  # the aggregated payments', and the cashier's
RETRY_CODES: Final = frozenset({"BBS10000", "BBS11105", "BBS11112"})  # public integrations ask again on these
NOT_FOUND_WORDS: Final = ("不存在", "未找到")
RETRY_WORDS: Final = ("繁忙", "频繁", "超时", "系统异常")
DENIED_WORDS: Final = ("签名", "验签", "权限", "无权", "证书")

_REF: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_CODE: Final = re.compile(r"[0-9A-Z_]{1,32}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What queries are signed with.  Without a terminal's number only the cashier can be asked."""

    merchant_no: str
    app_id: str
    serial: str
    key: RSAPrivateKey
    term_no: str | None
    is_cashier: bool

    def call(self, api_base: str, query: Query, now: datetime, nonce: str) -> Call:
        """Returns the signed request that puts the query."""
        path, data = self._of_order(query) if self.is_cashier else self._of_trade(query)
        fields = {"req_time": f"{now.astimezone(CHINA):%Y%m%d%H%M%S}", "version": VERSION, "req_data": data}
        body = json.dumps(fields | {"out_org_code": self.app_id}, separators=(",", ":")).encode()
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": self._authorization(body, str(int(now.timestamp())), nonce[:NONCE_CHARS]),
        }
        return Call(method="POST", url=f"{api_base}{path}", headers=headers, body=body)

    def _authorization(self, body: bytes, timestamp: str, nonce: str) -> str:
        signed = f"{self.app_id}\n{self.serial}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        fields = {
            "appid": self.app_id,
            "serial_no": self.serial,
            "timestamp": timestamp,
            "nonce_str": nonce,
            "signature": signature_of(self.key, signed),
        }
        return f"{SCHEME} " + ",".join(f'{name}="{value}"' for name, value in fields.items())

    def _of_order(self, query: Query) -> tuple[str, Mapping[str, str]]:
        """A cashier's order has all its trades, and is known by the merchant's number for it."""
        if query.about == "refund":
            _ref(query.refund_ref)  # which is looked for among them
        return ORDER_PATH, {"merchant_no": self.merchant_no, "out_order_no": _ref(query.order_ref)}

    def _of_trade(self, query: Query) -> tuple[str, Mapping[str, str]]:
        if self.term_no is None:
            raise CannotQuery("term_no is not set")
        merchant = {"merchant_no": self.merchant_no, "term_no": self.term_no}
        if query.about == "refund":
            return TRADE_PATH, merchant | {"trade_no": _ref(query.refund_ref)}
        if is_by_order(query):
            return TRADE_PATH, merchant | {"out_trade_no": _ref(query.order_ref)}
        return TRADE_PATH, merchant | {"trade_no": _ref(query.payment_ref)}


def _ref(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that no number of Lakala's or a shop's has")
    return ref


def is_signed(response: Response) -> bool:
    """Says whether the answer bears a signature: an error may come without."""
    return SIGNATURE_HEADER in response.headers


def check_signed(response: Response, app_id: str | None, trusted: Sequence[TrustedCertificate], now: datetime) -> None:
    """Raises BadSignature unless Lakala has signed the answer for this app: five lines, of headers that are sometimes
    quoted."""
    request = Request(headers=response.headers, body=response.body)
    lines = [request.header(name).strip().strip('"') for name in SIGNED_HEADERS]
    if lines[0] != app_id or not all(NONCE.fullmatch(line) for line in lines):
        raise BadSignature("a header of the answer names another app, or cannot be read", VerificationStep.HEADER)
    signed = "".join(f"{line}\n" for line in lines).encode() + response.body + b"\n"
    label_of_signer(trusted, request.header(SIGNATURE_HEADER).strip().strip('"'), signed, now)


def data_in(body: bytes, *, is_signed: bool) -> Fields | None:
    """Returns what was asked for; None where there is none such.  An error may come unsigned: then TLS alone vouches
    for it."""
    fields = strictjson.loads(body)
    code = text(fields, "code")
    if code not in OK_CODES:
        _check_error(code, text_or_none(fields, "msg") or "", is_signed=is_signed)
        return None
    data = at(fields, ["resp_data"])
    if not isinstance(data, dict):
        raise BadPayload("resp_data is no object")
    if not is_signed:
        raise BadSignature("the answer is not signed", VerificationStep.HEADER)
    return cast("Fields", data)


def _check_error(code: str, words: str, *, is_signed: bool) -> None:
    """Passes the error that there is none such.  Raises Unavailable, AccessDenied, BadPayload for all others."""
    shown = f"code {code if _CODE.fullmatch(code) else None}"
    if code in RETRY_CODES or _has(words, RETRY_WORDS):
        raise Unavailable(shown)
    if _has(words, NOT_FOUND_WORDS):
        return
    if not is_signed or _has(words, DENIED_WORDS):
        raise AccessDenied(shown)
    raise BadPayload(shown)


def _has(words: str, any_of: tuple[str, ...]) -> bool:
    return any(word in words for word in any_of)


def trade_facts(query: Query, trade: Fields) -> tuple[Fact, ...]:
    """Returns what tradequery says of the trade that was asked about."""
    if query.about == "refund":
        check_subject(trade, "trade_no", query.refund_ref)
    elif is_by_order(query):
        check_subject(trade, "out_trade_no", query.order_ref)
    else:
        check_subject(trade, "trade_no", query.payment_ref)
    if aggregated.is_return(trade) is not (query.about == "refund"):
        raise BadPayload("the answer is about a refund where a payment was asked about, or the other way round")
    return aggregated.facts_of(trade)


def order_facts(query: Query, order: Fields) -> tuple[Fact, ...] | None:
    """Returns what a cashier's order says; None where it has no such refund."""
    check_subject(order, "out_order_no", query.order_ref)
    trades = order.get("order_trade_info_list")
    if trades is None:
        trades = []
    if not isinstance(trades, list):
        raise BadPayload("order_trade_info_list is no list")
    facts = cashier.order_facts(order, trades)
    if query.about == "payment":
        return facts
    return tuple(fact for fact in facts if fact.refund_ref == query.refund_ref) or None
