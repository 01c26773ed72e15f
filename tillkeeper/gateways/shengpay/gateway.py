"""ShengPay H5 quick pay: JSON whose `sign` field is RSA over the other fields, in notices and in answers alike.

Source: ShengPay's own repository shengpay-h5-pay-integration, `references/`: signing, async-notify, payment-notify,
refund-notify, card-notify, order-query and refund-query.  It has no package.  What fields say is in `shengpay_objects`.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from pydantic import AfterValidator, Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalPrivateKey, rsa_private_key, rsa_public_key
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, queried, with_stand_in_closed
from tillkeeper.gateways.kit.fields import reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.kit.pairs import check_unambiguous
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.shengpay import objects
from tillkeeper.gateways.shengpay.objects import FAIL, OK, SIGN, Fields

SignType = Literal["RSA2", "RSA"]

KEY_LABEL: Final = "shengpay_public_key"
SIGN_TYPE: Final = "signType"
REFUND_ID: Final = "refundId"
SUCCEEDED_AT: Final = "refundSuccessTime"
FIELDS_MAX: Final = 200  # a notice has 20
MARKS_MAX: Final = 1_000  # commas and brackets, of which texts may hold some
SIGNATURE_CHARS_MAX: Final = 1024  # RSA of 4,096 bits makes 684
NONCE_CHARS_MAX: Final = 32
PAYMENT_PATH: Final = "/api/v3/payment/orderquery"
REFUND_PATH: Final = "/api/v3/payment/refundquery"
HASHES: Final[Mapping[str, HashAlgorithm]] = {"RSA2": SHA256(), "RSA": SHA1()}  # noqa: S303 - theirs, for old accounts

_REF: Final = re.compile(r"[0-9A-Za-z_|*@-]{1,64}", re.ASCII)

# errorCode of a query that was not answered.
NOT_FOUND_CODES: Final = frozenset({"ORDER_NOT_EXIST"})
AGAIN_CODES: Final = frozenset({"BIZERR_NEED_RETRY"})
DENIED_CODES: Final = frozenset(
    {"SIGN_ERROR", "PARAMS_ERROR", "LACK_PARAMS", "MCH_NOT_FOUND", "SERVICE_PROVIDER_NO_AUTH"}
)


def _check_public_key(pem: str) -> str:
    rsa_public_key(pem)
    return pem


class ShengPaySettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "shengpay"`."""

    gateway: Literal["shengpay"]
    mch_id: Annotated[str, Field(min_length=1)] = Field(
        description="The merchant number (商户号).  Notices for another count for nothing."
    )
    app_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The app's id (appId).  Questions need it; where it is set, notices for another count for nothing.",
    )
    shengpay_public_key: Annotated[str, Field(repr=False), AfterValidator(_check_public_key)] = Field(
        description="ShengPay's public key (盛付通公钥), as PEM; test and production have one each."
    )
    sign_type: SignType = Field(
        default="RSA2",
        description="The signType that your orders are made with: RSA2 (SHA-256), or RSA (SHA-1) of old accounts.  It "
        "is never taken from what arrives.",
    )
    mch_private_key: OptionalPrivateKey = Field(
        default=None, description="The merchant's private key (商户私钥), as PEM, which signs questions."
    )
    api_base: ApiBase = "https://mchapi.shengpay.com"


ABOUT: Final = About(
    title="ShengPay H5 quick pay",
    title_zh="盛付通",
    verifies="RSA over all fields but `sign` that are not blank, sorted by name, SHA-256 or SHA-1 as the account says",
    uncovered="the signature is over the fields, not over the layout of the JSON around them, nor over the names of "
    "blank fields.  It does not tell a field from a text that holds `&name=`: such texts are refused where it matters",
    dedupes_by="`transactionId` of payments; `refundId` and the status of refunds",
    acknowledges="200 with the text SUCCESS",
    queries="payments by ShengPay's number or the order reference, refunds by `outRefundNo`, once `app_id` and "
    "`mch_private_key` are set; answers' signatures are verified",
    refunds_seen="that something went back: refunds that are known are asked about, or a case tells it",
    checked="documents only, for there is no official package; two writings of the signature are held against each "
    "other.  Unsure: whether a failed payment has a notice, a notice's content type, and the production address in "
    "`api_base`, which ShengPay tells each merchant",
    sources=("ShengPay's repository shengpay-h5-pay-integration, `references/`",),
)


class Notice(msgspec.Struct, frozen=True):
    """The fields of one notice, and when it came: a failed payment tells no time of its own."""

    fields: Fields
    heard_at: datetime


class ShengPay(Gateway):
    """One merchant number at ShengPay."""

    name: ClassVar[str] = "shengpay"
    settings: ClassVar[type[AccountModel]] = ShengPaySettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an outTradeNo is one payment's
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: ShengPaySettings) -> None:
        self.account = account
        self._merchant = settings
        self._hash = HASHES[settings.sign_type]
        self._key = rsa_public_key(settings.shengpay_public_key)
        self._own_key = None if settings.mch_private_key is None else rsa_private_key(settings.mch_private_key)

    def verify(self, request: Request, now: datetime) -> Verified:
        """Over the fields as they are written; signType is one of them, and must be the account's."""
        return Verified(key=KEY_LABEL, content=Notice(self._verified(request.body), now.replace(microsecond=0)))

    def key_labels(self) -> tuple[str, ...]:
        """One key at a time."""
        return (KEY_LABEL,)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a payment or a refund, none for cards."""
        notice = cast("Notice", verified.content)
        if not self._is_taken(notice) or self._is_asked_about(notice):
            return ()
        event = self._refund_in(notice) if _is_refund(notice) else self._payment_in(notice)
        if event is None:
            return ()
        if problem := problem_with(event):
            raise BadPayload(problem)
        return (event,)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The refund of a notice without a time of its own, for that could undo what came before it."""
        notice = cast("Notice", verified.content)
        if not self._is_taken(notice) or not self._is_asked_about(notice):
            return ()
        refund_ref = reference_or_none(text(notice.fields, "outRefundNo"))
        if refund_ref is None:
            raise BadPayload("outRefundNo has characters that we do not ask with")
        order_ref, payment_ref = _named_in(notice.fields)
        return (Query(about="refund", order_ref=order_ref, payment_ref=payment_ref, refund_ref=refund_ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment that a notice names, as a refund's does too."""
        try:
            fields = strictjson.loads_unsigned(request.body)
        except BadPayload:
            return None
        if not isinstance(fields, dict):
            return None
        order_ref, payment_ref = _named_in(fields)
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def acknowledge(self) -> Reply:
        """The word that ShengPay asks for, in capitals."""
        return Reply(status=200, body=b"SUCCESS")

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - no time is signed
        """By ShengPay's own number where it is known, else by the order's reference."""
        path, about = _asked(query)
        if self._own_key is None or self._merchant.app_id is None:
            raise CannotQuery("app_id and mch_private_key are not both set")
        fields = {
            "appId": self._merchant.app_id,
            "mchId": self._merchant.mch_id,
            "nonceStr": nonce[:NONCE_CHARS_MAX],
            SIGN_TYPE: self._merchant.sign_type,
            **about,
        }
        sign = self._own_key.sign(objects.signing_text(fields).encode(), PKCS1v15(), self._hash)
        return Call(
            method="POST",
            url=f"{self._merchant.api_base}{path}",
            headers={"Content-Type": "application/json; charset=UTF-8"},
            body=json.dumps(fields | {SIGN: b64encode(sign).decode()}, ensure_ascii=False).encode(),
        )

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What a signed answer to this query says."""
        _check_door(response)
        fields = self._verified(response.body)
        if text(fields, "resultCode") != OK:
            code = objects.code_of(fields)
            if code in NOT_FOUND_CODES:
                return Answer(found=False)
            raise BadPayload(f"code {code}")
        if not self._is_ours(fields):
            raise BadPayload("the answer is about another merchant's or app's payment")
        told_at = answered_at(response, now)
        event = self._event_in_answer(query, fields, told_at)
        events = [event] if query.about == "refund" else with_stand_in_closed(query, event, told_at)
        return Answer(found=True, events=tuple(queried(it) for it in events if it is not None))

    def _verified(self, body: bytes) -> Fields:
        """The fields of a signed body."""
        fields = strictjson.loads_unsigned(body, marks_max=MARKS_MAX)
        if not isinstance(fields, dict) or len(fields) > FIELDS_MAX:
            raise BadPayload(f"the body is no object of up to {FIELDS_MAX} fields")
        sign = fields.get(SIGN)
        if not isinstance(sign, str) or not sign or len(sign) > SIGNATURE_CHARS_MAX:
            raise BadSignature("sign is missing, or no text of a fit length", VerificationStep.HEADER)
        if fields.get(SIGN_TYPE) != self._merchant.sign_type:
            raise BadSignature(
                f"signType is not {self._merchant.sign_type}, as the account says it is", VerificationStep.HEADER
            )
        try:
            signature = b64decode(sign, validate=True)
        except ValueError:
            raise BadSignature("sign is not base64", VerificationStep.HEADER) from None
        raw = strictjson.members(body)
        texts = {name: objects.as_signed(value, raw[name]) for name, value in fields.items()}
        try:
            self._key.verify(signature, objects.signing_text(texts).encode(), PKCS1v15(), self._hash)
        except InvalidSignature:
            raise BadSignature("sign is not by the shengpay_public_key") from None
        check_unambiguous(texts, objects.DECIDING)  # one key signs for all merchants, and attach is a merchant's text
        return fields

    def _is_taken(self, notice: Notice) -> bool:
        """Ours, and about money; a card's notice has a type of event, and no returnCode."""
        fields = notice.fields
        if text_or_none(fields, "eventType") is not None or not self._is_ours(fields):
            return False
        if text(fields, "returnCode") != OK:
            raise BadPayload("returnCode is not SUCCESS, yet the notice is signed")
        return True

    def _is_ours(self, fields: Fields) -> bool:
        """Several merchants, or several apps of one, may share an address."""
        app_id = text_or_none(fields, "appId")
        return text(fields, "mchId") == self._merchant.mch_id and self._merchant.app_id in {None, app_id}

    def _is_asked_about(self, notice: Notice) -> bool:
        can_ask = self._own_key is not None and self._merchant.app_id is not None
        return can_ask and _is_refund(notice) and not _has_own_time(notice)

    def _payment_in(self, notice: Notice) -> PaymentEvent | None:
        """A failure has a name of its own, for another attempt under the same number may succeed."""
        state, word = objects.notice_state(notice.fields)
        if state is None:
            return None
        event = objects.payment_event(self.account, notice.fields, state, word, notice.heard_at)
        event_id = event.payment_ref or ""
        return msgspec.structs.replace(event, event_id=event_id if word == OK else f"{event_id}:{FAIL}:{word}")

    def _refund_in(self, notice: Notice) -> PaymentEvent | None:
        """None for one on its way that cannot be asked about: a time that is not its own could undo its end."""
        fields = notice.fields
        state, word = objects.refund_state(fields)
        if state is None or state.kind is Kind.REFUND_PENDING:
            return None
        at = moment_from_compact(text(fields, SUCCEEDED_AT)) if _has_own_time(notice) else notice.heard_at
        event = objects.refund_event(self.account, fields, state, word, at)
        return msgspec.structs.replace(event, event_id=f"refund:{text(fields, REFUND_ID)}:{word}")

    def _event_in_answer(self, query: Query, fields: Fields, told_at: datetime) -> PaymentEvent | None:
        """A refund has the time of the answer always: an outcome with a time of its own could seem to lie before an
        answer that it was on its way, and be lost."""
        if query.about == "refund":
            _check_subject(fields, "outRefundNo", query.refund_ref)
            state, word = objects.refund_state(fields)
            return None if state is None else objects.refund_event(self.account, fields, state, word, told_at)
        if is_by_order(query):
            _check_subject(fields, "outTradeNo", query.order_ref)
        else:
            _check_subject(fields, "transactionId", query.payment_ref)
        state, word = objects.trade_state(fields)
        return None if state is None else objects.payment_event(self.account, fields, state, word, told_at)


def _is_refund(notice: Notice) -> bool:
    """It repeats the payment's numbers; only its own tells it apart."""
    return text_or_none(notice.fields, REFUND_ID) is not None


def _has_own_time(notice: Notice) -> bool:
    state, _ = objects.refund_state(notice.fields)
    return (
        state is not None
        and state.kind is Kind.REFUND_SUCCEEDED
        and text_or_none(notice.fields, SUCCEEDED_AT) is not None
    )


def _named_in(fields: Fields) -> tuple[str | None, str | None]:
    return reference_or_none(fields.get("outTradeNo")), reference_or_none(fields.get("transactionId"))


def _asked(query: Query) -> tuple[str, dict[str, str]]:
    """The path, and what the query names.  A refund is known by the merchant's own number."""
    if query.about == "refund":
        return REFUND_PATH, {"outRefundNo": _ref(query.refund_ref)}
    if is_by_order(query):
        return PAYMENT_PATH, {"outTradeNo": _ref(query.order_ref)}
    return PAYMENT_PATH, {"transactionId": _ref(query.payment_ref)}


def is_by_order(query: Query) -> bool:
    """True where no number of ShengPay's is known; the order's own stands in for that of a payment never completed."""
    return query.payment_ref in {None, query.order_ref}


def _ref(ref: str | None) -> str:
    if ref is None or not _REF.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that no number of ShengPay's or a shop's has")
    return ref


def _check_subject(fields: Fields, name: str, ref: str | None) -> None:
    if text(fields, name) != ref:
        raise BadPayload(f"{name} of the answer is not the question's")


def _check_door(response: Response) -> None:
    """Raises for what may be told without a signature: nothing is known, and the query was no good."""
    check_status(response)
    fields = strictjson.loads(response.body)
    if not isinstance(fields, dict):
        raise BadPayload("the answer is no object")
    code = objects.code_of(fields)
    if code in AGAIN_CODES:
        raise Unavailable(f"code {code}")
    if code in DENIED_CODES or text(fields, "returnCode") != OK:
        raise AccessDenied(f"code {code}")
