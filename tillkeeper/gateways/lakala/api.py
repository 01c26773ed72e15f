"""Asking Lakala: requests signed over five lines with the merchant's key, and what answers' codes mean.

Sources: o.lakala.com document 1004 (signing of requests and answers), 1111 (tradequery), its page "收银台订单查询";
the Java SDK zkmio/lakala-sdk for field names of requests.  No list of codes was found: only what words say is used.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.times import CHINA
from tillkeeper.gateways.lakala import objects
from tillkeeper.gateways.lakala.objects import Fields
from tillkeeper.gateways.messages import Call, Query

SCHEME: Final = "LKLAPI-SHA256withRSA"
TRADE_PATH: Final = "/api/v3/labs/query/tradequery"
ORDER_PATH: Final = "/api/v3/ccss/counter/order/query"
NONCE_CHARS: Final = 12
VERSION: Final = "3.0"

OK_CODES: Final = frozenset({"BBS00000", "000000"})  # the aggregated payments', and the cashier's
AGAIN_CODES: Final = frozenset({"BBS10000", "BBS11105", "BBS11112"})  # public integrations ask again on these
NOT_FOUND_WORDS: Final = ("不存在", "未找到")
AGAIN_WORDS: Final = ("繁忙", "频繁", "超时", "系统异常")
DENIED_WORDS: Final = ("签名", "验签", "权限", "无权", "证书")

_REF: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_CODE: Final = re.compile(r"[0-9A-Z_]{1,32}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What asking takes.  Without a terminal's number only the cashier can be asked."""

    merchant_no: str
    app_id: str
    serial: str
    key: RSAPrivateKey
    term_no: str | None
    is_cashier: bool

    def call(self, api_base: str, query: Query, now: datetime, nonce: str) -> Call:
        """The signed request that puts the query."""
        path, data = self._of_order(query) if self.is_cashier else self._of_trade(query)
        told = {"req_time": f"{now.astimezone(CHINA):%Y%m%d%H%M%S}", "version": VERSION, "req_data": data}
        body = json.dumps(told | {"out_org_code": self.app_id}, separators=(",", ":")).encode()
        timestamp, nonce = str(int(now.timestamp())), nonce[:NONCE_CHARS]
        signed = f"{self.app_id}\n{self.serial}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        names = {
            "appid": self.app_id,
            "serial_no": self.serial,
            "timestamp": timestamp,
            "nonce_str": nonce,
            "signature": b64encode(self.key.sign(signed, PKCS1v15(), SHA256())).decode(),
        }
        authorization = ",".join(f'{name}="{value}"' for name, value in names.items())
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"{SCHEME} {authorization}",
        }
        return Call(method="POST", url=f"{api_base}{path}", headers=headers, body=body)

    def _of_order(self, query: Query) -> tuple[str, Mapping[str, str]]:
        """A cashier's order tells all its trades, and is known by the merchant's number for it."""
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


def is_by_order(query: Query) -> bool:
    """True where no number of Lakala's is known; the order's own stands in for that of a payment never tried."""
    return query.payment_ref in {None, query.order_ref}


def _ref(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that no number of Lakala's or a shop's has")
    return ref


def data_in(body: bytes, *, is_signed: bool) -> Fields | None:
    """What was asked for; None where there is none such.  An error may come unsigned: then TLS alone vouches for it."""
    fields = strictjson.loads(body)
    code = text(fields, "code")
    if code in OK_CODES:
        data = at(fields, ["resp_data"])
        if not isinstance(data, dict):
            raise BadPayload("resp_data is no object")
        return cast("Fields", data)
    told, words = f"code {code if _CODE.fullmatch(code) else None}", text_or_none(fields, "msg") or ""
    if code in AGAIN_CODES or _has(words, AGAIN_WORDS):
        raise Unavailable(told)
    if _has(words, NOT_FOUND_WORDS):
        return None
    if not is_signed or _has(words, DENIED_WORDS):
        raise AccessDenied(told)
    raise BadPayload(told)


def _has(words: str, any_of: tuple[str, ...]) -> bool:
    return any(it in words for it in any_of)


def trade_told(account: str, query: Query, data: Fields, told_at: datetime) -> tuple[PaymentEvent, ...]:
    """What tradequery says of the trade that was asked about."""
    if query.about == "refund":
        _check_subject(data, "trade_no", query.refund_ref)
    elif is_by_order(query):
        _check_subject(data, "out_trade_no", query.order_ref)
    else:
        _check_subject(data, "trade_no", query.payment_ref)
    if objects.is_return(data) is not (query.about == "refund"):
        raise BadPayload("the answer is about a refund where a payment was asked about, or the other way round")
    return objects.aggregated_events(account, data, told_at)


def order_told(account: str, query: Query, data: Fields, told_at: datetime) -> tuple[PaymentEvent, ...] | None:
    """What a cashier's order says; None where it has no such refund."""
    _check_subject(data, "out_order_no", query.order_ref)
    trades = data.get("order_trade_info_list")
    if trades is None:
        trades = []
    if not isinstance(trades, list):
        raise BadPayload("order_trade_info_list is no list")
    events = objects.order_events(account, data, trades, told_at)
    if query.about == "payment":
        return events
    return tuple(it for it in events if it.refund_ref == query.refund_ref) or None


def _check_subject(data: Fields, name: str, ref: str | None) -> None:
    if text(data, name) != ref:
        raise BadPayload(f"{name} of the answer is not the question's")
