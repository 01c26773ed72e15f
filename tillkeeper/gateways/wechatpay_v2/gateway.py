"""WeChat Pay v2: XML, signed with a shared key over its fields; a refund's notice only encrypted, and so asked about.

Sources: the package `wechatpy` (`pay/__init__.py`, `pay/utils.py`, `crypto`); wechatpay-php `tests/fixtures`; WeChat
Pay's pages "支付结果通知" and "退款结果通知".  Fields and queries are in `wechatpay_v2_asking`.
"""

import hashlib
import hmac
from base64 import b64decode
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import strictxml
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.wechatpay.api import named_in, not_found
from tillkeeper.gateways.wechatpay.objects import MCH_ID, SUB_MCH_IDS, TRADE_STATES, State, SubMerchants
from tillkeeper.gateways.wechatpay_v2 import api as asking
from tillkeeper.gateways.wechatpay_v2.api import FAIL, OK, TOPS, Fields, SignType

KEY_LABEL: Final = "api_key"
AES_BLOCK_BITS: Final = 128
CONTENT_TYPE: Final = "text/xml"
ACCEPTED: Final = b"<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
REFUSED: Final = b"<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[refused]]></return_msg></xml>"


class WeChatPayV2Settings(AccountModel):
    """`[accounts.NAME]` with `gateway = "wechatpay_v2"`."""

    gateway: Literal["wechatpay_v2"]
    mch_id: Annotated[str, Field(min_length=1)] = Field(description=MCH_ID)
    sub_mch_ids: SubMerchants = Field(default=(), description=SUB_MCH_IDS)
    app_id: Annotated[str, Field(min_length=1)] = Field(
        description="The app's id (appid), which questions name.  Notices for another count for nothing."
    )
    api_key: OneSecret = Field(
        description="The API key (API密钥, not the APIv3 key), which signs notices, answers and questions, and opens "
        "refund notices."
    )
    sign_type: SignType = Field(
        default="MD5",
        description="The algorithm that your orders are made with: MD5 or HMAC-SHA256.  It is never taken from what "
        "arrives.",
    )
    api_base: ApiBase = "https://api.mch.weixin.qq.com"


ABOUT: Final = About(
    title="WeChat Pay v2",
    title_zh="微信支付 v2",
    verifies="MD5 or HMAC-SHA256, as the account says, over the fields and the API key; a refund notice must decrypt "
    "with AES-256-ECB under that key",
    uncovered="the signature is over the fields, not over the layout of the XML around them; a refund notice is not "
    "signed at all, and what is encrypted with ECB can be put together anew out of two genuine notices, so that it "
    "changes nothing by itself: WeChat Pay is asked about the refund it names",
    dedupes_by="`transaction_id`; for a payment that failed together with its error code and time",
    acknowledges="200 with `return_code` SUCCESS as XML",
    queries="transactions by WeChat Pay's number or the order reference; refunds by `out_refund_no`, and all of a "
    "transaction in state REFUND; answers' signatures are verified.  A service provider asks in the name of "
    "one sub-merchant after the other",
    refunds_seen="that something went back, and each refund",
    checked="the package `wechatpy` signs payment notices and answers, and opens the sandbox's refund notices",
    sources=(
        "the package `wechatpy`",
        "the fixtures in the tests of wechatpay-php",
        "WeChat Pay's pages 支付结果通知, 退款结果通知, 扣款结果通知 and 合单支付结果通知",
    ),
)


class Notice(msgspec.Struct, frozen=True):
    """One notice; `refund` is what was encrypted in it."""

    fields: Fields
    refund: Fields | None
    heard_at: datetime


class WeChatPayV2(Gateway):
    """One app of one merchant number at WeChat Pay, by the older API."""

    name: ClassVar[str] = "wechatpay_v2"
    settings: ClassVar[type[AccountModel]] = WeChatPayV2Settings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an out_trade_no is one transaction's
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: WeChatPayV2Settings) -> None:
        self.account = account
        self._merchant = settings
        key = hashlib.md5(settings.api_key.encode(), usedforsecurity=False).hexdigest()  # the scheme's, not our choice
        self._cipher = Cipher(AES(key.encode()), ECB())  # noqa: S305 - the scheme's; so nothing opened is an event

    def verify(self, request: Request, now: datetime) -> Verified:
        """By `sign`; a refund's notice has none, and then what is encrypted in it must open."""
        fields = strictxml.record(request.body, TOPS)
        refund = None
        if "sign" not in fields and fields.get("req_info"):
            refund = self._open(fields["req_info"])
        else:
            self._check_sign(fields)
        return Verified(key=KEY_LABEL, content=Notice(fields, refund, now.replace(microsecond=0)))

    def key_labels(self) -> tuple[str, ...]:
        """One key at a time."""
        return (KEY_LABEL,)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a payment of this merchant's and app's, one for each order of a combined payment; none for a
        refund, which is asked about, and for what is about no payment."""
        notice = cast("Notice", verified.content)
        fields = notice.fields
        if notice.refund is not None or not asking.is_of_payments(fields):
            return ()
        orders = asking.orders_of(fields)
        made = (self._event(it, notice.heard_at) for it in orders if self._is_ours(it))
        return tuple(it for it in made if it is not None)

    def _event(self, fields: Fields, heard_at: datetime) -> PaymentEvent | None:
        if text(fields, "return_code") != OK:
            raise BadPayload("return_code is not SUCCESS, yet the notice is signed")
        state, word = _state_of(fields)
        if state is None:
            return None
        event = asking.payment_event(self.account, fields, state, heard_at, word)
        if event is None:
            return None
        event_id = event.payment_ref or ""
        if word != OK:  # an attempt may fail before another of the same number succeeds
            event_id = f"{event_id}:{word}:{fields.get('time_end', '')}"
        event = msgspec.structs.replace(event, event_id=event_id)
        if problem := problem_with(event):
            raise BadPayload(problem)
        return event

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The refund that a notice names, and nothing else of it: of the blocks of two notices a third can be made, and
        it opens too.  The order and the payment are told by the answer."""
        notice = cast("Notice", verified.content)
        if notice.refund is None or not self._is_ours(notice.fields):
            return ()
        refund_ref = reference_or_none(text(notice.refund, "out_refund_no"))
        if refund_ref is None:
            raise BadPayload("out_refund_no has characters that we do not ask with")
        return (Query(about="refund", refund_ref=refund_ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """What a payment's notice names; a refund's hides it."""
        try:
            fields = strictxml.record(request.body, TOPS)
        except BadPayload:
            return None
        order_ref, payment_ref = (reference_or_none(fields.get(it)) for it in ("out_trade_no", "transaction_id"))
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def acknowledge(self) -> Reply:
        """The form WeChat Pay asks for."""
        return Reply(status=200, body=ACCEPTED, content_type=CONTENT_TYPE)

    def refuse(self, status: int) -> Reply:
        """The form WeChat Pay asks for."""
        return Reply(status=status, body=REFUSED, content_type=CONTENT_TYPE)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - no time is signed
        """By WeChat Pay's own transaction number where it is known, else by the order's reference."""
        path, about = asking.asked(query)
        sub_mch_id = named_in(query, self._merchant.sub_mch_ids)
        fields = {
            "appid": self._merchant.app_id,
            "mch_id": self._merchant.mch_id,
            **({} if sub_mch_id is None else {"sub_mch_id": sub_mch_id}),
            "nonce_str": nonce[: asking.NONCE_CHARS_MAX],
            "sign_type": self._merchant.sign_type,
            **about,
        }
        body = asking.written(fields | {"sign": self._sign(fields)})
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        return Call(method="POST", url=f"{self._merchant.api_base}{path}", headers=headers, body=body)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What a signed answer to this query says."""
        check_status(response)
        fields = strictxml.record(response.body, TOPS)
        asking.check_door(fields)
        self._check_sign(fields)
        if text(fields, "result_code") != OK:
            code = asking.code_of(fields)
            if code in asking.NOT_FOUND_CODES:
                return not_found(query, self._merchant.sub_mch_ids)
            raise BadPayload(f"code {code}")
        if not self._is_ours(fields):
            raise BadPayload("the answer is about another merchant's or app's payment")
        events = asking.answer_events(self.account, query, fields, answered_at(response, now))
        also = (asking.refunds_of(it, query) for it in events if it.has_refunds)
        return Answer(found=True, events=tuple(queried(it) for it in events), also=tuple(also))

    def _sign(self, fields: Fields) -> str:
        return asking.signature(fields, self._merchant.api_key, self._merchant.sign_type)

    def _check_sign(self, fields: Fields) -> None:
        """Notices of risks and of rented things are HMAC-SHA256 always; they make no event."""
        sign, sign_type = fields.get("sign", ""), self._merchant.sign_type
        if not sign or not sign.isascii():
            raise BadSignature("sign is missing, or not ASCII", VerificationStep.HEADER)
        told = text_or_none(fields, "sign_type") or text_or_none(fields, "algorithm")
        if told == "HMAC-SHA256" and not asking.is_of_payments(fields):
            sign_type = "HMAC-SHA256"
        if told not in {None, sign_type}:
            raise BadSignature(f"sign_type is not {sign_type}, as the account says it is", VerificationStep.HEADER)
        if not hmac.compare_digest(asking.signature(fields, self._merchant.api_key, sign_type).encode(), sign.encode()):
            raise BadSignature(f"sign is not by the api_key with {sign_type}")

    def _open(self, req_info: str) -> dict[str, str]:
        """What is encrypted in a refund's notice.  Whatever does not open proves nothing, and no reason is told apart,
        or who sends variations would learn about the key's texts."""
        try:
            decryptor, unpadder = self._cipher.decryptor(), PKCS7(AES_BLOCK_BITS).unpadder()
            padded = decryptor.update(b64decode(req_info, validate=True)) + decryptor.finalize()
            return strictxml.record(unpadder.update(padded) + unpadder.finalize(), TOPS)
        except (ValueError, BadPayload):
            raise BadSignature("req_info does not open with the api_key") from None

    def _is_ours(self, fields: Fields) -> bool:
        """Shops that share an address, or several apps of one merchant, get each other's notices; a service provider
        gets those of all its sub-merchants."""
        served = self._merchant.sub_mch_ids
        is_served = not served or text_or_none(fields, "sub_mch_id") in served
        apps = {text(fields, "appid"), text_or_none(fields, "sub_appid")}
        return is_served and text(fields, "mch_id") == self._merchant.mch_id and self._merchant.app_id in apps


def _state_of(fields: Fields) -> tuple[State[Kind | None] | None, str]:
    """How a payment stands, and the word that says so: a deduction's result_code says only that its notice is good."""
    result = text(fields, "result_code")
    if result == OK:
        word = text_or_none(fields, "trade_state") or OK
        return asking.state_of("trade_state", word, TRADE_STATES), word
    if result != FAIL:
        unknown_word("result_code", result)
        return None, result
    word = asking.code_of(fields) or FAIL
    return asking.ERRORS.get(word, asking.UNKNOWN_ERROR), word
