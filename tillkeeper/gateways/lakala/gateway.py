"""Implements Lakala's open platform: signed notices of three families, and queries whose answers are signed as well."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.claimed_references import claimed_in_object
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import moment_from_unix, reference_or_none, text
from tillkeeper.gateways.kit.http_status import check_status
from tillkeeper.gateways.kit.rsa import rsa_private_key
from tillkeeper.gateways.lakala import api, cashier, webhook
from tillkeeper.gateways.lakala.fields import Fields
from tillkeeper.gateways.lakala.keys import label_of_signer, trusted_certificates
from tillkeeper.gateways.lakala.settings import ABOUT, LakalaSettings
from tillkeeper.gateways.lakala.webhook import Family, Notice
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified

AUTHORIZATION: Final = "authorization"
ORDER_FIELDS: Final = ("out_order_no", "origin_out_trade_no", "out_trade_no", "merchantOrderNo")
PAYMENT_FIELDS: Final = ("origin_trade_no", "trade_no", "lklOrderNo")


class Lakala(Gateway):
    """One merchant number at Lakala."""

    name: ClassVar[str] = "lakala"
    settings: ClassVar[type[AccountModel]] = LakalaSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({AUTHORIZATION, "content-type"})  # a signature, no secret

    def __init__(self, account: str, settings: LakalaSettings) -> None:
        self.account = account
        self._merchant = settings
        self._trusted = trusted_certificates(settings.platform_cert)
        self._signer = _signer(settings)

    def verify(self, request: Request, now: datetime) -> Verified:
        """Any signed time is taken: what repeats is known by its event's id."""
        authorization = webhook.authorization_in(request.header(AUTHORIZATION))
        signed = authorization.signed(request.body)
        label = label_of_signer(self._trusted, authorization.signature, signed, now)
        signed_at = moment_from_unix(int(authorization.timestamp))
        return Verified(key=label, content=Notice(strictjson.object_in(request.body, "the body"), signed_at))

    def key_labels(self) -> tuple[str, ...]:
        """Certificates are known by their serial numbers."""
        return tuple(each.label for each in self._trusted)

    def keys_valid_until(self) -> datetime | None:
        """During a renewal there are two certificates."""
        return max(each.valid_until for each in self._trusted)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes one event mostly; two where a payment comes together with what became of it."""
        notice = cast("Notice", verified.content)
        family = self._family_if_ours(notice.fields)
        if family is None or self._is_asked_about(notice.fields):
            return ()
        return webhook.events_of(self.account, notice, family)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Returns the order of a notice that says that money went back, and not which."""
        fields = cast("Notice", verified.content).fields
        if self._family_if_ours(fields) is None or not self._is_asked_about(fields):
            return ()
        order_ref = reference_or_none(text(fields, "out_order_no"))
        if order_ref is None:
            raise BadPayload("out_order_no has characters that we do not ask with")
        return (Query(about="payment", order_ref=order_ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the order and payment that a notice names."""
        return claimed_in_object(request.body, _references_in)

    def acknowledge(self) -> Reply:
        """Returns the form that Lakala asks for."""
        return _reply(200, '{"code":"SUCCESS","message":"执行成功"}')

    def refuse(self, status: int) -> Reply:
        """Refuses in the same form."""
        return _reply(status, '{"code":"FAIL","message":"refused"}')

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:
        """Asks by Lakala's own number where it is known, else by the order's; at the cashier by the order's always."""
        if self._signer is None:
            raise CannotQuery("app_id, merchant_serial and merchant_private_key are not all set")
        return self._signer.call(self._merchant.api_base, query, now, nonce)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Returns what a signed answer to this query says."""
        check_status(response)
        is_signed = api.is_signed(response)
        if is_signed:
            api.check_signed(response, self._merchant.app_id, self._trusted, now)
        data = api.data_in(response.body, is_signed=is_signed)
        if data is None:
            return Answer(found=False)
        if text(data, "merchant_no") != self._merchant.merchant_no:
            raise BadPayload("the answer is about another merchant's payment")
        facts = (api.order_facts if self._merchant.cashier else api.trade_facts)(query, data)
        if facts is None:
            return Answer(found=False)
        reported_at = answered_at(response, now)
        events = (query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=True, events=tuple(events))

    def _family_if_ours(self, fields: Fields) -> Family | None:
        """Returns None for what is not about a payment, and for another merchant's: Lakala signs for all with one
        key."""
        if not fields:
            raise BadPayload("the notice is empty")
        family = webhook.family_of(fields)
        if family is None or text(fields, family.merchant) != self._merchant.merchant_no:
            return None
        return family

    def _is_asked_about(self, fields: Fields) -> bool:
        return self._signer is not None and self._merchant.cashier and cashier.is_refunded_unseen(fields)


def _signer(settings: LakalaSettings) -> api.Signer | None:
    if settings.app_id is None or settings.merchant_serial is None or settings.merchant_private_key is None:
        return None
    return api.Signer(
        merchant_no=settings.merchant_no,
        app_id=settings.app_id,
        serial=settings.merchant_serial,
        key=rsa_private_key(settings.merchant_private_key),
        term_no=settings.term_no,
        is_cashier=settings.cashier,
    )


def _references_in(fields: Mapping[str, object]) -> tuple[str | None, str | None]:
    return _first(fields, ORDER_FIELDS), _first(fields, PAYMENT_FIELDS)


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((ref for name in names if (ref := reference_or_none(fields.get(name)))), None)


def _reply(status: int, body: str) -> Reply:
    return Reply(status=status, body=body.encode(), content_type="application/json")
