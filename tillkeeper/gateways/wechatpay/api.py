"""Builds queries to WeChat Pay v3 and reads the responses: signed with the merchant's key, and what the answers'
statuses mean.

Sources: the package `wechatpayv3` (`utils.build_authorization`, `core.py`) for the signature; WeChat Pay's pages
"查询订单", "查询单笔退款" and "错误码和错误提示" for paths and codes, and the same for service providers
(服务商) and for merchants abroad (境外).
"""

import re
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import check_subject
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, TOO_MANY_REQUESTS, status_error
from tillkeeper.gateways.kit.rsa import signature_of
from tillkeeper.gateways.kit.stand_in import is_by_order
from tillkeeper.gateways.messages import Answer, Call, Query, Response
from tillkeeper.gateways.wechatpay.objects import refund_in_answer, transaction_fact

ABROAD: Final = "apihk.mch.weixin.qq.com"
SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
RETRY_STATUSES: Final = frozenset({202, TOO_MANY_REQUESTS})  # 202: accepted, but not done
NOT_FOUND_CODES: Final = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})  # pages differ
DENIED_CODES: Final = frozenset({"SIGN_ERROR", "NO_AUTH", "MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH"})

_REF: Final = re.compile(r"[0-9A-Za-z_|*@-]{1,64}", re.ASCII)  # what WeChat Pay allows in a merchant's numbers
_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What queries are signed with.  `answer_key_id` asks for answers signed with that public key, and with no
    certificate."""

    mch_id: str
    sub_mch_ids: tuple[str, ...]
    serial: str
    key: RSAPrivateKey
    answer_key_id: str | None

    def call(self, api_base: str, query: Query, now: datetime, nonce: str) -> Call:
        """Returns the signed request that puts the query."""
        return self.question(f"{api_base}{self._path(query, is_abroad=is_abroad(api_base))}", now, nonce)

    def question(self, url: str, now: datetime, nonce: str) -> Call:
        """Returns a signed GET whose answer is signed with the key that is asked for, where one is."""
        call = self.get(url, now, nonce)
        if self.answer_key_id is None:
            return call
        return msgspec.structs.replace(call, headers={**call.headers, "Wechatpay-Serial": self.answer_key_id})

    def _path(self, query: Query, *, is_abroad: bool) -> str:
        """Returns path and query of what answers the query.  A service provider asks in the name of a sub-merchant."""
        sub_mch_id = sub_merchant_of(query, self.sub_mch_ids)
        if query.about == "refund":
            return self._refund_path(_quoted(query.refund_ref), sub_mch_id, is_abroad=is_abroad)
        named = f"out-trade-no/{_quoted(query.order_ref)}" if is_by_order(query) else f"id/{_quoted(query.payment_ref)}"
        mode = "global" if is_abroad else "pay/partner" if sub_mch_id else "pay"
        return f"/v3/{mode}/transactions/{named}?{self._merchant(sub_mch_id)}"

    def _refund_path(self, ref: str, sub_mch_id: str | None, *, is_abroad: bool) -> str:
        if is_abroad:
            return f"/v3/global/refunds/out-refund-no/{ref}?{self._merchant(sub_mch_id)}"
        return f"/v3/refund/domestic/refunds/{ref}{'' if sub_mch_id is None else f'?sub_mchid={quote(sub_mch_id)}'}"

    def _merchant(self, sub_mch_id: str | None) -> str:
        if sub_mch_id is None:
            return urlencode({"mchid": self.mch_id})
        return urlencode({"sp_mchid": self.mch_id, "sub_mchid": sub_mch_id})

    def get(self, url: str, now: datetime, nonce: str) -> Call:
        """Returns a signed GET."""
        timestamp = str(int(now.timestamp()))
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        fields = {
            "mchid": self.mch_id,
            "nonce_str": nonce,
            "signature": signature_of(self.key, f"GET\n{target}\n{timestamp}\n{nonce}\n\n".encode()),
            "timestamp": timestamp,
            "serial_no": self.serial,
        }
        authorization = ",".join(f'{name}="{value}"' for name, value in fields.items())
        headers = {"Accept": "application/json", "Authorization": f"{SCHEME} {authorization}"}
        return Call(method="GET", url=url, headers=headers)


def sub_merchant_of(query: Query, sub_mch_ids: tuple[str, ...]) -> str | None:
    """Returns the sub-merchant in whose name a service provider asks: the first, unless the query names another."""
    return query.sub_mch_id or next(iter(sub_mch_ids), None)


def not_found(query: Query, sub_mch_ids: tuple[str, ...]) -> Answer:
    """Answers that one sub-merchant has no such thing; the next one may."""
    asked = sub_merchant_of(query, sub_mch_ids)
    later = sub_mch_ids[sub_mch_ids.index(asked) + 1 :] if asked in sub_mch_ids else ()
    return Answer(
        found=False, also=tuple(msgspec.structs.replace(query, sub_mch_id=next_one) for next_one in later[:1])
    )


def is_abroad(api_base: str) -> bool:
    """Says whether it is the API for merchants outside of China, whose paths are others."""
    return urlsplit(api_base).hostname == ABROAD


def _quoted(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that WeChat Pay does not allow")
    return quote(ref, safe="")


def check_status(response: Response) -> None:
    """Passes what is an answer: the thing itself, or that there is none such."""
    if response.status == OK:
        return
    code = code_in(response.body)
    if response.status == NOT_FOUND and code in NOT_FOUND_CODES:
        return
    raise status_error(response, f", code {code}", retry=RETRY_STATUSES, is_denied=code in DENIED_CODES)


def code_in(body: bytes) -> str | None:
    """Returns only the code: a message may repeat what was asked."""
    try:
        code = text_or_none(strictjson.loads(body), "code")
    except BadPayload:
        return None
    return code if code and _CODE.fullmatch(code) else None


def fact_of(query: Query, content: object) -> Fact | None:
    """Returns what the answer says; a genuine answer to another query is none to this."""
    if query.about == "refund":
        check_subject(content, "out_refund_no", query.refund_ref)
        return refund_in_answer(content)
    if is_by_order(query):
        check_subject(content, "out_trade_no", query.order_ref)
    else:
        check_subject(content, "transaction_id", query.payment_ref)
    return transaction_fact(content)
