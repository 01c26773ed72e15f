"""Builds queries to Shopee and reads the responses: calls signed over their path, time, token and shop, and what its
answers mean.

TLS vouches for an answer; nothing in it is signed.  Sources: Shopee Open Platform, the pages on signing calls and
"v2.order.get_order_detail".  The error words are not all confirmed: one that is unknown is nobody's "not found".
"""

import hmac
import re
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.http_status import OK, status_error
from tillkeeper.gateways.messages import Call, Query, Response

PATH: Final = "/api/v2/order/get_order_detail"
OPTIONAL_FIELDS: Final = "total_amount,pay_time,payment_method,cancel_by,cancel_reason"

RETRY_ERRORS: Final = frozenset(
    {"error_server", "error_inner", "error_network", "error_busy", "error_system_busy", "error_rate_limit"}
)
NOT_FOUND_ERRORS: Final = frozenset({"error_not_found", "order.error_not_found"})
_DENIED_ERROR: Final = re.compile(r"error_(auth|sign|permission|shop|partner)|token")  # invalid_acceess_token: so spelt
_ORDER_SN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_CODE: Final = re.compile(r"[a-z_.]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What queries are signed with."""

    partner_id: str
    partner_key: str
    shop_id: str
    access_token: str | None
    api_base: str

    def call(self, query: Query, now: datetime) -> Call:
        """Returns the signed request for the order's details.  Raises CannotQuery."""
        ref = _ref_of(query)
        if self.access_token is None:
            raise CannotQuery("access_token is not set")
        timestamp = str(int(now.timestamp()))
        signed = f"{self.partner_id}{PATH}{timestamp}{self.access_token}{self.shop_id}"
        parameters = {
            "partner_id": self.partner_id,
            "timestamp": timestamp,
            "access_token": self.access_token,
            "shop_id": self.shop_id,
            "sign": hmac.digest(self.partner_key.encode(), signed.encode(), "sha256").hex(),
            "order_sn_list": ref,
            "response_optional_fields": OPTIONAL_FIELDS,
        }
        headers = {"Accept": "application/json"}
        return Call(method="GET", url=f"{self.api_base}{PATH}?{urlencode(parameters)}", headers=headers)


def _ref_of(query: Query) -> str:
    ref = query.payment_ref or query.order_ref
    if query.about != "payment":
        raise CannotQuery("Shopee tells no refund by a reference of ours")
    if ref is None or not _ORDER_SN.fullmatch(ref):
        raise CannotQuery("the reference is missing, or no order's number")
    return ref


def order_in(query: Query, response: Response) -> object:
    """Returns the order in the response, or None where Shopee knows of no such order."""
    try:
        content, error = _content_of(response.body)
    except BadPayload:
        if response.status == OK:
            raise
        content, error = None, "unreadable"
    if response.status == OK and not error:
        return _listed(query, content)
    problem = status_error(
        response,
        f", error {error if _CODE.fullmatch(error) else 'unreadable'}",
        is_retry=error in RETRY_ERRORS,
        is_denied=_DENIED_ERROR.search(error) is not None,
    )
    if isinstance(problem, BadPayload) and error in NOT_FOUND_ERRORS:
        return None
    raise problem


def _content_of(body: bytes) -> tuple[object, str]:
    """Returns the answer, and its error: an empty word where there is none."""
    content = strictjson.loads(body)
    if not isinstance(content, dict) or "error" not in content:
        raise BadPayload("the answer is none of Shopee's")
    return content, text_or_none(content, "error") or ""


def _listed(query: Query, content: object) -> object:
    orders = at(content, ["response", "order_list"])
    if not isinstance(orders, list):
        raise BadPayload("response.order_list is no list")
    if not orders:
        return None
    if len(orders) > 1 or text(orders[0], "order_sn") != _ref_of(query):
        raise BadPayload("the answer is about another order than the query")
    return orders[0]
