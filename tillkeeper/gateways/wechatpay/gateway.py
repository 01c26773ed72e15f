"""Implements WeChat Pay v3: signed notices with an encrypted resource, and queries whose answers are signed as well."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import ClassVar

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.domain.books.calendar import StatementCalendar
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import moment_from_unix
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK
from tillkeeper.gateways.kit.rsa import rsa_private_key
from tillkeeper.gateways.kit.stand_in import with_stand_in_closed
from tillkeeper.gateways.messages import Answer, Call, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.statement_form import StatementForm
from tillkeeper.gateways.statement_offer import OfferedFile, StatementOffer
from tillkeeper.gateways.wechatpay import api, bills, certificates, webhook
from tillkeeper.gateways.wechatpay.fund_bill import FundBill
from tillkeeper.gateways.wechatpay.keys import Certificate, PlatformKeys
from tillkeeper.gateways.wechatpay.objects import Merchant
from tillkeeper.gateways.wechatpay.settings import ABOUT, WeChatPaySettings
from tillkeeper.gateways.wechatpay.statements import TradeBill


class WeChatPay(Gateway):
    """One merchant number at WeChat Pay."""

    name: ClassVar[str] = "wechatpay"
    settings: ClassVar[type[AccountModel]] = WeChatPaySettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (TradeBill, FundBill)
    statement_calendar: ClassVar[StatementCalendar | None] = bills.CALENDAR
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an out_trade_no is one transaction's
    kept_headers: ClassVar[frozenset[str]] = webhook.KEPT_HEADERS

    def __init__(self, account: str, settings: WeChatPaySettings) -> None:
        self.account = account
        self._api_base = settings.api_base
        self._merchant = Merchant(mch_id=settings.mch_id, app_id=settings.app_id, sub_mch_ids=settings.sub_mch_ids)
        self._signer = _signer(settings)
        self._cipher = AESGCM(settings.apiv3_key.encode())
        self._keys = PlatformKeys(settings.public_keys, settings.platform_certs)
        self._listed_at: datetime | None = None

    def verify(self, request: Request, now: datetime) -> Verified:
        """Wechatpay-Serial picks the key, and an unknown one is refused: it is never "the only key there is"."""
        label = webhook.label_of_signer(request, now, lambda serial: self._keys.key(serial, now))
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """Keys are known by serial number or id."""
        return self._keys.labels

    def keys_valid_until(self) -> datetime | None:
        """A public key has no end; certificates have, and the next is fetched where the API can be asked."""
        return self._keys.valid_until

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes one event of a payment or a refund of this merchant's, one of each order of a combined payment, and
        none of others."""
        notice = strictjson.json_of(verified)
        return tuple(webhook.events_of(self.account, notice, self._merchant, self._cipher))

    def acknowledge(self) -> Reply:
        """Answers 204, for the body must be empty."""
        return Reply(status=204)

    def refuse(self, status: int) -> Reply:
        """Refuses in the form that WeChat Pay asks for."""
        return Reply(status=status, body=b'{"code":"FAIL","message":"refused"}', content_type="application/json")

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:
        """Asks for the list of platform certificates, where a delivery names one that is not at hand and we may ask for
        it."""
        serials = request.headers.get(webhook.SERIAL_HEADER, ())
        if len(serials) != 1 or not certificates.is_certificate_serial(serials[0]):
            return None
        if self._listed_at is not None and now - self._listed_at < certificates.REST:
            return None
        try:
            self._keys.key(serials[0], now)
        except BadSignature:
            return self._list_request(now, nonce)
        return None

    def key_refresh_request(self, *, now: datetime, nonce: str) -> Call | None:
        """Asks for the same list, where platform certificates are used at all."""
        return self._list_request(now, nonce) if self._keys.has_certificates else None

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:  # noqa: ARG002 - there is one list
        """Takes in the certificates of a list that is signed by a known key, or by one of them."""
        listed = certificates.certificates_in(response, self._cipher, now=now)
        self._check_signed(response, now, listed)
        self._keys.take_in(listed, now)
        self._listed_at = now

    def _list_request(self, now: datetime, nonce: str) -> Call | None:
        if self._signer is None:
            return None
        path = certificates.PATH_ABROAD if api.is_abroad(self._api_base) else certificates.PATH
        return self._signer.get(f"{self._api_base}{path}", now, nonce)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:
        """Asks by WeChat Pay's own transaction number where it is known, else by the order's reference."""
        return self._known_signer().call(self._api_base, query, now, nonce)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Returns what a signed answer to this query says."""
        api.check_status(response)
        if response.status == NOT_FOUND:
            # An error may come unsigned: then TLS alone vouches for it, as for the official SDKs.
            if webhook.SIGNATURE_HEADER in response.headers:
                self._check_signed(response, now)
            return api.not_found(query, self._merchant.sub_mch_ids)
        self._check_signed(response, now)
        content = strictjson.loads(response.body)
        if query.about == "payment" and not self._merchant.owns(content):
            raise BadPayload("the answer is about another merchant's or app's payment")
        fact = api.fact_of(query, content)
        facts = with_stand_in_closed(query, fact) if query.about == "payment" else [] if fact is None else [fact]
        answered_at = moment_from_unix(int(response.headers[webhook.TIMESTAMP_HEADER][0]))
        events = (query_event(each, account=self.account, reported_at=answered_at) for each in facts)
        return Answer(found=True, events=tuple(events))

    def statement_request(self, day: date, *, now: datetime, nonce: str) -> Call:
        """Asks for the trade bill of the day, of all sorts of trades."""
        return self._known_signer().question(
            bills.bill_url(self._api_base, day, self._merchant.sub_mch_ids), now, nonce
        )

    def read_statement_offer(self, response: Response, *, now: datetime) -> StatementOffer:
        """Returns the address and the hash of the bill in a signed answer."""
        if not bills.is_about_no_bill(response):
            api.check_status(response)
        if response.status == OK or webhook.SIGNATURE_HEADER in response.headers:  # an error may come unsigned
            self._check_signed(response, now)
        return bills.offer_in(response, self._api_base)

    def statement_file_request(self, offer: OfferedFile, *, now: datetime, nonce: str) -> Call:
        """Asks for the file, signed as every call."""
        return msgspec.structs.replace(self._known_signer().get(offer.url, now, nonce), is_for_file=True)

    def read_statement_file(self, offer: OfferedFile, response: Response) -> bytes:
        """Returns the bill, packed, once its hash is the one that was named."""
        api.check_status(response)
        bills.check_digest(offer, response.body)
        return response.body

    def _known_signer(self) -> api.Signer:
        if self._signer is None:
            raise CannotQuery("merchant_serial and merchant_private_key are not both set")
        return self._signer

    def _check_signed(self, response: Response, now: datetime, listed: Mapping[str, Certificate] | None = None) -> None:
        """Answers are signed as notices are; `listed` are certificates that stand in the answer itself."""
        signed = Request(headers=response.headers, body=response.body)
        webhook.label_of_signer(signed, now, lambda serial: self._keys.key(serial, now, listed=listed))


def _signer(settings: WeChatPaySettings) -> api.Signer | None:
    if settings.merchant_serial is None or settings.merchant_private_key is None:
        return None
    return api.Signer(
        mch_id=settings.mch_id,
        sub_mch_ids=settings.sub_mch_ids,
        serial=settings.merchant_serial,
        key=rsa_private_key(settings.merchant_private_key),
        answer_key_id=next(iter(settings.public_keys), None),
    )
