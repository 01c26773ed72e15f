"""Queries to ShengPay, and what their answers say.

Source: ShengPay's own repository shengpay-h5-pay-integration, `references/`: order-query and refund-query.
"""

import json
import re
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import check_subject
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.kit.rsa import signature_of
from tillkeeper.gateways.kit.stand_in import is_by_order
from tillkeeper.gateways.messages import Call, Query, Response
from tillkeeper.gateways.shengpay import objects
from tillkeeper.gateways.shengpay.objects import OK
from tillkeeper.gateways.shengpay.signature import HASHES, SIGN, SIGN_TYPE, Fields, SignType, signing_text

NONCE_CHARS_MAX: Final = 32
PAYMENT_PATH: Final = "/api/v3/payment/orderquery"
REFUND_PATH: Final = "/api/v3/payment/refundquery"

# errorCode of a query that was not answered.
NOT_FOUND_CODES: Final = frozenset({"ORDER_NOT_EXIST"})
RETRY_CODES: Final = frozenset({"BIZERR_NEED_RETRY"})
DENIED_CODES: Final = frozenset(
    {"SIGN_ERROR", "PARAMS_ERROR", "LACK_PARAMS", "MCH_NOT_FOUND", "SERVICE_PROVIDER_NO_AUTH"}
)
_REF: Final = re.compile(r"[0-9A-Za-z_|*@-]{1,64}", re.ASCII)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What queries are signed with."""

    mch_id: str
    app_id: str
    key: RSAPrivateKey
    sign_type: SignType

    def call(self, api_base: str, query: Query, nonce: str) -> Call:
        """Returns the signed request that puts the query."""
        path, subject = _path_and_subject(query)
        fields = {
            "appId": self.app_id,
            "mchId": self.mch_id,
            "nonceStr": nonce[:NONCE_CHARS_MAX],
            SIGN_TYPE: self.sign_type,
            **subject,
        }
        sign = signature_of(self.key, signing_text(fields).encode(), HASHES[self.sign_type])
        return Call(
            method="POST",
            url=f"{api_base}{path}",
            headers={"Content-Type": "application/json; charset=UTF-8"},
            body=json.dumps(fields | {SIGN: sign}, ensure_ascii=False).encode(),
        )


def _path_and_subject(query: Query) -> tuple[str, dict[str, str]]:
    """Returns the path, and what the query names.  A refund is known by the merchant's own number."""
    if query.about == "refund":
        return REFUND_PATH, {"outRefundNo": _ref(query.refund_ref)}
    if is_by_order(query):
        return PAYMENT_PATH, {"outTradeNo": _ref(query.order_ref)}
    return PAYMENT_PATH, {"transactionId": _ref(query.payment_ref)}


def _ref(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that no number of ShengPay's or a shop's has")
    return ref


def check_unsigned(response: Response) -> None:
    """Raises for what may be said without a signature: nothing is known, and the query was no good."""
    check_status(response)
    fields = strictjson.object_in(response.body)
    code = objects.code_of(fields)
    if code in RETRY_CODES:
        raise Unavailable(f"code {code}")
    if code in DENIED_CODES or text(fields, "returnCode") != OK:
        raise AccessDenied(f"code {code}")


def is_found(fields: Fields) -> bool:
    """Returns False where ShengPay knows of no such thing.  Raises BadPayload where its code says anything else."""
    if text(fields, "resultCode") == OK:
        return True
    code = objects.code_of(fields)
    if code not in NOT_FOUND_CODES:
        raise BadPayload(f"code {code}")
    return False


def fact_of(query: Query, fields: Fields) -> Fact | None:
    """Returns what the answer says; a genuine answer to another query is none to this.

    A refund has the time of the answer always: an outcome with a time of its own could seem to lie before an answer
    that it was on its way, and be lost.
    """
    if query.about == "refund":
        check_subject(fields, "outRefundNo", query.refund_ref)
        state, word = objects.refund_state(fields)
        return None if state is None else objects.refund_fact(fields, state, word)
    if is_by_order(query):
        check_subject(fields, "outTradeNo", query.order_ref)
    else:
        check_subject(fields, "transactionId", query.payment_ref)
    state, word = objects.trade_state(fields)
    return None if state is None else objects.payment_fact(fields, state, word)
