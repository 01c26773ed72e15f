"""Implements Alipay: form notices signed with RSA2 over their sorted fields, and queries whose answers are signed as
well."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.alipay import api, objects, webhook
from tillkeeper.gateways.alipay.fund_bill import FundBill
from tillkeeper.gateways.alipay.keys import TrustedKey, serial_of, serials_of_roots
from tillkeeper.gateways.alipay.settings import ABOUT, AlipaySettings
from tillkeeper.gateways.alipay.statements import TradeBill
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.chain import leaf
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import reference_or_none
from tillkeeper.gateways.kit.rsa import rsa_private_key
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.statement_form import StatementForm


class Alipay(Gateway):
    """One app of one Alipay merchant."""

    name: ClassVar[str] = "alipay"
    settings: ClassVar[type[AccountModel]] = AlipaySettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (TradeBill, FundBill)
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an out_trade_no is one trade's
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: AlipaySettings) -> None:
        self.account = account
        self._app_id = settings.app_id
        self._seller_id = settings.seller_id
        self._trusted = settings.trusted_key()
        self._signer = _signer(settings)
        self._ends = _ends(settings, self._trusted)
        self._api_base = settings.api_base
        self._trans_currency = settings.trans_currency

    def verify(self, request: Request, now: datetime) -> Verified:
        """Decodes the form first, for what is signed is its decoded fields."""
        return Verified(key=self._trusted.label, content=webhook.verified_fields(request, self._trusted, now))

    def key_labels(self) -> tuple[str, ...]:
        """Alipay signs with one key."""
        return (self._trusted.label,)

    def keys_valid_until(self) -> datetime | None:
        """In certificate mode each link of the chain must be valid, and the certificate that we sign queries with."""
        return min(self._ends, default=None)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes one event of a trade of ours, and none of others'."""
        fields = cast("Mapping[str, str]", verified.content)
        if not self._is_ours(fields):
            return ()
        event = webhook.event_of(self.account, fields, self._trans_currency)
        if event is None:
            return ()
        if self._seller_id is not None and not fields.get("seller_id"):
            raise BadPayload("seller_id is missing, though it tells the sellers of one app apart")
        return (event,)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the merchant's own number of a payment, out_trade_no, in a notice for this app."""
        try:
            fields = webhook.form_of(request).fields
        except BadPayload:
            return None
        order_ref = reference_or_none(fields.get("out_trade_no"))
        return ClaimedReferences(order_ref=order_ref) if order_ref and fields.get("app_id") == self._app_id else None

    def acknowledge(self) -> Reply:
        """Answers these seven bytes and no others; all else is repeated for 25 hours."""
        return Reply(status=200, body=b"success")

    def refuse(self, status: int) -> Reply:
        """Returns the word that Alipay's own examples answer."""
        return Reply(status=status, body=b"fail")

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - Alipay wants none
        """Asks by Alipay's own trade number where it is known, else by the order's reference."""
        if self._signer is None:
            raise CannotQuery("app_private_key is not set, or app_cert beside certificates")
        return self._signer.call(self._api_base, query, now)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Returns what a signed answer to this query says; an unsigned one says at most that nothing is known."""
        content = api.content_of(query, response, self._trusted, now)
        if content is None:
            return Answer(found=False)
        read = objects.payment_facts if query.about == "payment" else objects.refund_facts
        facts, reported_at = read(content, self._trans_currency), answered_at(response, now)
        events = (query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=True, events=tuple(events))

    def _is_ours(self, fields: Mapping[str, str]) -> bool:
        """Apps and sellers can share a notify address; without app_id nobody can tell whose a notice is."""
        if not fields.get("app_id"):
            raise BadPayload("app_id is missing")
        seller_id = fields.get("seller_id") or self._seller_id
        return fields["app_id"] == self._app_id and (self._seller_id is None or seller_id == self._seller_id)


def _signer(settings: AlipaySettings) -> api.Signer | None:
    if settings.app_private_key is None or (settings.alipay_cert is not None and settings.app_cert is None):
        return None
    return api.Signer(
        app_id=settings.app_id,
        key=rsa_private_key(settings.app_private_key),
        serials=_serials(settings),
        app_auth_token=settings.app_auth_token,
    )


def _serials(settings: AlipaySettings) -> Mapping[str, str]:
    """Returns the names of both sides' certificates, which requests carry in certificate mode."""
    if settings.app_cert is None:
        return {}
    return {
        "app_cert_sn": serial_of(leaf(settings.app_cert)),
        "alipay_root_cert_sn": serials_of_roots(settings.alipay_root_cert or ""),
    }


def _ends(settings: AlipaySettings, trusted: TrustedKey) -> list[datetime]:
    """Returns when the configured certificates end."""
    ends = [] if trusted.chain is None else [trusted.chain.valid_until]
    return ends if settings.app_cert is None else [*ends, leaf(settings.app_cert).not_valid_after_utc]
