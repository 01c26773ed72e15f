"""Implements WeChat Pay v2: XML, signed with a shared key; a refund's notice is only encrypted, and so it is asked
about."""

from datetime import datetime
from typing import ClassVar, Final, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictxml
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.statement_form import StatementForm
from tillkeeper.gateways.wechatpay.api import not_found, sub_merchant_of
from tillkeeper.gateways.wechatpay.fund_bill import FundBill
from tillkeeper.gateways.wechatpay.statements import TradeBill
from tillkeeper.gateways.wechatpay_v2 import api, webhook
from tillkeeper.gateways.wechatpay_v2.fields import OK, TOPS, Fields, code_of, signature, xml_of
from tillkeeper.gateways.wechatpay_v2.settings import ABOUT, WeChatPayV2Settings
from tillkeeper.gateways.wechatpay_v2.webhook import Notice

KEY_LABEL: Final = "api_key"
CONTENT_TYPE: Final = "text/xml"
ACCEPTED: Final = b"<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
REFUSED: Final = b"<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[refused]]></return_msg></xml>"


class WeChatPayV2(Gateway):
    """One app of one merchant number at WeChat Pay, by the older API."""

    name: ClassVar[str] = "wechatpay_v2"
    settings: ClassVar[type[AccountModel]] = WeChatPayV2Settings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (TradeBill, FundBill)
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an out_trade_no is one transaction's
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: WeChatPayV2Settings) -> None:
        self.account = account
        self._merchant = settings
        self._opener = webhook.Opener(settings.api_key)

    def verify(self, request: Request, now: datetime) -> Verified:
        """Verifies by `sign`; a refund's notice has none, and then what is encrypted in it must open."""
        fields = strictxml.record(request.body, TOPS)
        refund = None
        if "sign" not in fields and fields.get("req_info"):
            refund = self._opener.opened(fields["req_info"])
        else:
            self._check_sign(fields)
        return Verified(key=KEY_LABEL, content=Notice(fields, refund, now.replace(microsecond=0)))

    def key_labels(self) -> tuple[str, ...]:
        """WeChat Pay signs with one key at a time."""
        return (KEY_LABEL,)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes one event of a payment of this merchant's and app's, one of each order of a combined payment; none of a
        refund, which is asked about, and for what is about no payment."""
        notice = cast("Notice", verified.content)
        if notice.refund is not None or not webhook.is_of_payments(notice.fields):
            return ()
        own = (order for order in webhook.orders_of(notice.fields) if self._is_ours(order))
        events = (webhook.event_of(self.account, order, notice.received_at) for order in own)
        return tuple(event for event in events if event is not None)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Asks about the refund that a notice names, and nothing else of it: of the blocks of two notices a third can
        be made, and it opens too.  The answer names the order and the payment."""
        notice = cast("Notice", verified.content)
        if notice.refund is None or not self._is_ours(notice.fields):
            return ()
        refund_ref = reference_or_none(text(notice.refund, "out_refund_no"))
        if refund_ref is None:
            raise BadPayload("out_refund_no has characters that we do not ask with")
        return (Query(about="refund", refund_ref=refund_ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Reads what a payment's notice names; a refund's hides it."""
        try:
            fields = strictxml.record(request.body, TOPS)
        except BadPayload:
            return None
        order_ref = reference_or_none(fields.get("out_trade_no"))
        payment_ref = reference_or_none(fields.get("transaction_id"))
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def acknowledge(self) -> Reply:
        """Answers in the form that WeChat Pay asks for."""
        return Reply(status=200, body=ACCEPTED, content_type=CONTENT_TYPE)

    def refuse(self, status: int) -> Reply:
        """Refuses in the form that WeChat Pay asks for."""
        return Reply(status=status, body=REFUSED, content_type=CONTENT_TYPE)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - no time is signed
        """Asks by WeChat Pay's own transaction number where it is known, else by the order's reference."""
        path, subject = api.path_and_subject(query)
        fields = self._common_fields(query, nonce) | subject
        sign = signature(fields, self._merchant.api_key, self._merchant.sign_type)
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        body = xml_of(fields | {"sign": sign})
        return Call(method="POST", url=f"{self._merchant.api_base}{path}", headers=headers, body=body)

    def _common_fields(self, query: Query, nonce: str) -> dict[str, str]:
        sub_mch_id = sub_merchant_of(query, self._merchant.sub_mch_ids)
        return {
            "appid": self._merchant.app_id,
            "mch_id": self._merchant.mch_id,
            **({} if sub_mch_id is None else {"sub_mch_id": sub_mch_id}),
            "nonce_str": nonce[: api.NONCE_CHARS_MAX],
            "sign_type": self._merchant.sign_type,
        }

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Returns what a signed answer to this query says."""
        check_status(response)
        fields = strictxml.record(response.body, TOPS)
        api.check_unsigned(fields)
        self._check_sign(fields)
        if text(fields, "result_code") != OK:
            return self._not_found(query, fields)
        if not self._is_ours(fields):
            raise BadPayload("the answer is about another merchant's or app's payment")
        facts, reported_at = api.facts_of(query, fields), answered_at(response, now)
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=True, events=events, also=tuple(api.refund_queries(query, events)))

    def _not_found(self, query: Query, fields: Fields) -> Answer:
        """Raises BadPayload where the code says anything else."""
        code = code_of(fields)
        if code not in api.NOT_FOUND_CODES:
            raise BadPayload(f"code {code}")
        return not_found(query, self._merchant.sub_mch_ids)

    def _check_sign(self, fields: Fields) -> None:
        webhook.check_sign(fields, self._merchant.api_key, self._merchant.sign_type)

    def _is_ours(self, fields: Fields) -> bool:
        """Shops that share an address, or several apps of one merchant, get each other's notices; a service provider
        gets those of all its sub-merchants."""
        served = self._merchant.sub_mch_ids
        is_served = not served or text_or_none(fields, "sub_mch_id") in served
        apps = {text(fields, "appid"), text_or_none(fields, "sub_appid")}
        return is_served and text(fields, "mch_id") == self._merchant.mch_id and self._merchant.app_id in apps
