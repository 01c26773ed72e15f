"""Verifies and reads WeChat Pay v2's notices: signed ones of payments, and those of refunds, which are encrypted and
not signed.

Sources: the package `wechatpy` (`pay/__init__.py`, `pay/utils.py`, `crypto`); wechatpay-php `tests/fixtures`; WeChat
Pay's pages "支付结果通知" and "退款结果通知".
"""

import hashlib
import hmac
from base64 import b64decode
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import strictjson, strictxml
from tillkeeper.gateways.kit.fact import webhook_event
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.unknown_words import known_or_none, unknown_word
from tillkeeper.gateways.wechatpay.objects import TRADE_STATES
from tillkeeper.gateways.wechatpay_v2 import objects
from tillkeeper.gateways.wechatpay_v2.fields import FAIL, OK, TOPS, Fields, SignType, code_of, signature

AES_BLOCK_BITS: Final = 128
COMBINED: Final = frozenset({"return_code", "result_code", "trade_type", "fee_type", "err_code"})  # said of all orders


class Notice(msgspec.Struct, frozen=True):
    """One notice, and when it came; `refund` is what was encrypted in it."""

    fields: Fields
    refund: Fields | None
    received_at: datetime


class Opener:
    """Opens what is encrypted in a refund's notice."""

    def __init__(self, api_key: str) -> None:
        key = hashlib.md5(api_key.encode(), usedforsecurity=False).hexdigest()  # the scheme's, not our choice
        self._cipher = Cipher(AES(key.encode()), ECB())  # noqa: S305 - the scheme's; so nothing opened is an event

    def opened(self, req_info: str) -> dict[str, str]:
        """Returns whatever does not open proves nothing, and no reason is told apart, or who sends variations would
        learn about the key's texts."""
        try:
            decryptor, unpadder = self._cipher.decryptor(), PKCS7(AES_BLOCK_BITS).unpadder()
            padded = decryptor.update(b64decode(req_info, validate=True)) + decryptor.finalize()
            return strictxml.record(unpadder.update(padded) + unpadder.finalize(), TOPS)
        except (ValueError, BadPayload):
            raise BadSignature("req_info does not open with the api_key") from None


def check_sign(fields: Fields, api_key: str, sign_type: SignType) -> None:
    """Raises BadSignature unless the fields are signed with the key, by the algorithm of the account.

    Notices of risks and of rented things are HMAC-SHA256 always; they make no event.
    """
    sign = fields.get("sign", "")
    if not sign or not sign.isascii():
        raise BadSignature("sign is missing, or not ASCII", VerificationStep.HEADER)
    declared = text_or_none(fields, "sign_type") or text_or_none(fields, "algorithm")
    if declared == "HMAC-SHA256" and not is_of_payments(fields):
        sign_type = "HMAC-SHA256"
    if declared not in {None, sign_type}:
        raise BadSignature(f"sign_type is not {sign_type}, as the account says it is", VerificationStep.HEADER)
    if not hmac.compare_digest(signature(fields, api_key, sign_type).encode(), sign.encode()):
        raise BadSignature(f"sign is not by the api_key with {sign_type}")


def is_of_payments(fields: Fields) -> bool:
    """Says whether a notice is about a payment or several; others are about contracts, cars, risks, and things
    rented."""
    return any(fields.get(name) for name in ("out_trade_no", "transaction_id", "sub_order_list"))


def orders_of(fields: Fields) -> list[Fields]:
    """Returns the one order of a notice, or those of a combined payment (合单), each as if it had its own notice."""
    if not fields.get("sub_order_list"):
        return [fields]
    orders = at(strictjson.loads(fields["sub_order_list"].encode()), ["order_list"])
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise BadPayload("sub_order_list holds no order_list of orders")
    shared = {name: value for name, value in fields.items() if name in COMBINED}
    return [shared | {name: str(value) for name, value in order.items() if value is not None} for order in orders]


def event_of(account: str, fields: Fields, received_at: datetime) -> PaymentEvent | None:
    """Returns the event of one order in a notice; None for a word or a currency that is not known."""
    if text(fields, "return_code") != OK:
        raise BadPayload("return_code is not SUCCESS, yet the notice is signed")
    state, word = _state_of(fields)
    fact = None if state is None else objects.payment_fact(fields, state, word)
    if fact is None:
        return None
    event_id = fact.payment_ref or ""
    if word != OK:  # an attempt may fail before another of the same number succeeds
        event_id = f"{event_id}:{word}:{fields.get('time_end', '')}"
    return webhook_event(fact, account=account, event_id=event_id, reported_at=received_at)


def _state_of(fields: Fields) -> tuple[State | None, str]:
    """Returns how a payment stands, and the word that says so: a deduction's result_code says only that its notice is
    good."""
    result = text(fields, "result_code")
    if result == OK:
        word = text_or_none(fields, "trade_state") or OK
        return known_or_none(TRADE_STATES, word, "trade_state"), word
    if result != FAIL:
        unknown_word("result_code", result)
        return None, result
    word = code_of(fields) or FAIL
    return objects.ERRORS.get(word, objects.UNKNOWN_ERROR), word
