"""Builds queries to WeChat Pay v2 and reads the responses: the two that there are, and what their answers say.

Sources: WeChat Pay's pages "查询订单" and "查询退款" for fields and codes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit.answers import check_subject
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.kit.stand_in import is_by_order, with_stand_in_closed
from tillkeeper.gateways.kit.unknown_words import known_or_none
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.wechatpay.objects import TRADE_STATES
from tillkeeper.gateways.wechatpay_v2.fields import OK, Fields, code_of
from tillkeeper.gateways.wechatpay_v2.objects import payment_fact, refund_fact

PAYMENT_PATH: Final = "/pay/orderquery"
REFUND_PATH: Final = "/pay/refundquery"
NONCE_CHARS_MAX: Final = 32
REFUNDS_MAX: Final = 50  # of one payment, as WeChat Pay allows

# err_code of a query that was not answered.
NOT_FOUND_CODES: Final = frozenset({"ORDERNOTEXIST", "REFUNDNOTEXIST"})
RETRY_CODES: Final = frozenset({"SYSTEMERROR", "BIZERR_NEED_RETRY", "FREQUENCY_LIMITED"})
DENIED_CODES: Final = frozenset({"SIGNERROR", "NOAUTH", "APPID_NOT_EXIST", "MCHID_NOT_EXIST", "APPID_MCHID_NOT_MATCH"})

_REF: Final = re.compile(r"[0-9A-Za-z_|*@-]{1,64}", re.ASCII)  # what WeChat Pay allows in a merchant's numbers


def path_and_subject(query: Query) -> tuple[str, dict[str, str]]:
    """Returns the path, and what the query names.  A refund is known by the merchant's own number; without one all
    refunds of a payment are asked about."""
    if query.about == "refund" and query.refund_ref is None:
        return REFUND_PATH, {"transaction_id": _ref(query.payment_ref)}
    if query.about == "refund":
        return REFUND_PATH, {"out_refund_no": _ref(query.refund_ref)}
    if is_by_order(query):
        return PAYMENT_PATH, {"out_trade_no": _ref(query.order_ref)}
    return PAYMENT_PATH, {"transaction_id": _ref(query.payment_ref)}


def _ref(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that WeChat Pay does not allow")
    return ref


def check_unsigned(fields: Fields) -> None:
    """Raises for what is said without a signature: nothing is known of the payment, and the query was no good."""
    code = code_of(fields)
    if code in RETRY_CODES:
        raise Unavailable(f"code {code}")
    if code in DENIED_CODES:
        raise AccessDenied(f"code {code}")
    if text(fields, "return_code") != OK:  # its reason is free text, and mostly the signature or a number of ours
        raise AccessDenied(
            "return_code is not SUCCESS: are mch_id, app_id, api_key and sign_type those of the platform?"
        )


def refund_queries(query: Query, events: Iterable[PaymentEvent]) -> Iterator[Query]:
    """Yields queries for all that a payment gave back, asked as the payment was."""
    for event in events:
        if event.has_refunds:
            yield Query(
                about="refund", order_ref=event.order_ref, payment_ref=event.payment_ref, sub_mch_id=query.sub_mch_id
            )


def facts_of(query: Query, fields: Fields) -> list[Fact]:
    """Returns what the answer says; a genuine answer to another query is none to this."""
    if query.about == "refund":
        facts = (refund_fact(fields, number) for number in _refunds_asked(query, fields))
        return [fact for fact in facts if fact is not None]
    if is_by_order(query):
        check_subject(fields, "out_trade_no", query.order_ref)
    else:
        check_subject(fields, "transaction_id", query.payment_ref)
    word = text(fields, "trade_state")
    state = known_or_none(TRADE_STATES, word, "trade_state")
    return with_stand_in_closed(query, None if state is None else payment_fact(fields, state, word))


def _refunds_asked(query: Query, fields: Fields) -> list[int]:
    """Returns the numbers under which the answer has the refund, or all refunds of the payment."""
    numbers = [number for number in range(REFUNDS_MAX) if fields.get(f"out_refund_no_{number}")]
    if query.refund_ref is None:
        check_subject(fields, "transaction_id", query.payment_ref)
        return numbers
    asked = [number for number in numbers if fields[f"out_refund_no_{number}"] == query.refund_ref]
    if not asked:
        raise BadPayload("no out_refund_no of the answer is the query's")
    return asked[:1]
