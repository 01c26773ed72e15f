"""Asking Shopee: calls signed over their path, time, token and shop, and what its answers mean.

TLS vouches for an answer; nothing in it is signed.  Sources: Shopee Open Platform, the pages on signing calls and
"v2.order.get_order_detail".  The error words are not all confirmed: one that is unknown is nobody's "not found".
"""

import hmac
import re
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from tillkeeper.gateways.base import AskAgain, BadPayload, Call, CannotAsk, Denied, Heard, Question
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text, text_or_none

PATH: Final = "/api/v2/order/get_order_detail"
ASKED_FIELDS: Final = "total_amount,pay_time,payment_method,cancel_by,cancel_reason"

OK: Final = 200
TOO_MANY: Final = 429
BROKEN: Final = 500
DENIED_STATUSES: Final = frozenset({401, 403})
AGAIN_ERRORS: Final = frozenset(
    {"error_server", "error_inner", "error_network", "error_busy", "error_system_busy", "error_rate_limit"}
)
NOT_FOUND_ERRORS: Final = frozenset({"error_not_found", "order.error_not_found"})
_DENIED_ERROR: Final = re.compile(r"error_(auth|sign|permission|shop|partner)|token")  # invalid_acceess_token: so spelt
_ORDER_SN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_CODE: Final = re.compile(r"[a-z_.]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What asking takes."""

    partner_id: str
    partner_key: str
    shop_id: str
    access_token: str | None
    api_base: str

    def call(self, question: Question, now: datetime) -> Call:
        """The signed request for the order's details.  Raises CannotAsk."""
        ref = _ref_of(question)
        if self.access_token is None:
            raise CannotAsk("access_token is not set")
        timestamp = str(int(now.timestamp()))
        signed = f"{self.partner_id}{PATH}{timestamp}{self.access_token}{self.shop_id}"
        query = {
            "partner_id": self.partner_id,
            "timestamp": timestamp,
            "access_token": self.access_token,
            "shop_id": self.shop_id,
            "sign": hmac.digest(self.partner_key.encode(), signed.encode(), "sha256").hex(),
            "order_sn_list": ref,
            "response_optional_fields": ASKED_FIELDS,
        }
        headers = {"Accept": "application/json"}
        return Call(method="GET", url=f"{self.api_base}{PATH}?{urlencode(query)}", headers=headers)


def _ref_of(question: Question) -> str:
    ref = question.payment_ref or question.order_ref
    if question.about != "payment":
        raise CannotAsk("Shopee tells no refund by a reference of ours")
    if ref is None or not _ORDER_SN.fullmatch(ref):
        raise CannotAsk("the reference is missing, or no order's number")
    return ref


def order_in(question: Question, heard: Heard) -> object:
    """The order in the response, or None where Shopee knows of no such order."""
    try:
        content, error = _content_of(heard.body)
    except BadPayload:
        if heard.status == OK:
            raise
        content, error = None, "unreadable"
    told = f"status {heard.status}, error {error if _CODE.fullmatch(error) else 'unreadable'}"
    if heard.status == TOO_MANY or heard.status >= BROKEN or error in AGAIN_ERRORS:
        raise AskAgain(told)
    if heard.status in DENIED_STATUSES or _DENIED_ERROR.search(error):
        raise Denied(told)
    if error in NOT_FOUND_ERRORS:
        return None
    if heard.status != OK or error:
        raise BadPayload(told)
    return _listed(question, content)


def _content_of(body: bytes) -> tuple[object, str]:
    """The answer, and its error: an empty word where there is none."""
    content = strictjson.loads(body)
    if not isinstance(content, dict) or "error" not in content:
        raise BadPayload("the answer is none of Shopee's")
    return content, text_or_none(content, "error") or ""


def _listed(question: Question, content: object) -> object:
    orders = at(content, ["response", "order_list"])
    if not isinstance(orders, list):
        raise BadPayload("response.order_list is no list")
    if not orders:
        return None
    if len(orders) > 1 or text(orders[0], "order_sn") != _ref_of(question):
        raise BadPayload("the answer is about another order than the question")
    return orders[0]
