"""Implements Mercado Pago: HMAC over the id in the query, the request's id and the time.  The body is anybody's: the
payment is fetched.

Sources: the package `mercadopago` (`webhook/validator.py`); Mercado Pago's pages "Notifications", "Get payment status",
"Chargebacks" and "Refunds and cancellations"; its API reference.
"""

from datetime import datetime
from typing import ClassVar, Final, cast

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import Fact, query_event
from tillkeeper.gateways.kit.fields import reference_or_none, text
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.mercadopago import api
from tillkeeper.gateways.mercadopago.objects import id_of, is_paid, list_in, payment_facts
from tillkeeper.gateways.mercadopago.settings import ABOUT, MercadoPagoSettings
from tillkeeper.gateways.mercadopago.signature import (
    REQUEST_ID_HEADER,
    SIGNATURE_HEADER,
    check_age,
    query_fields,
    request_id_of,
    signature_parts,
    signed_text,
)
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified

UNSIGNED: Final = "unsigned"
# By Mercado Pago's page "Notifications".  Chargebacks stand in their payments; `order`, of the Orders API, is not read.
OTHER_TOPICS: Final = IgnoredTypes(
    field="type",
    names=frozenset(
        {
            *("automatic-payments", "claim", "delivery", "delivery_cancellation", "invoice", "merchant_order"),
            *("mp-connect", "plan", "point_integration_ipn", "point_integration_wh", "stop_delivery_op_wh", "test"),
            *("topic_card_id_wh", "topic_chargebacks_wh", "topic_claims_integration_wh", "topic_merchant_order_wh"),
            *("wallet_connect",),
        }
    ),
    families=("subscription",),
)


class MercadoPago(Gateway):
    """One application at Mercado Pago."""

    name: ClassVar[str] = "mercadopago"
    settings: ClassVar[type[AccountModel]] = MercadoPagoSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {SIGNATURE_HEADER, REQUEST_ID_HEADER, "content-type", "user-agent"}
    )

    def __init__(self, account: str, settings: MercadoPagoSettings) -> None:
        self.account = account
        self._keys = HmacKeys("webhook_secrets", settings.webhook_secrets)
        self._access_token = settings.access_token
        self._api_base = settings.api_base
        self._tolerance_s = settings.tolerance_s
        self._accepts_unsigned = settings.accept_unsigned

    def key_labels(self) -> tuple[str, ...]:
        """Returns one label for each secret."""
        return self._keys.labels

    def verify(self, request: Request, now: datetime) -> Verified:
        """Returns the signed id, its topic in the query string, and the body, which nothing signs.

        Only what has no signature at all may be taken for an unsigned call.
        """
        if self._accepts_unsigned and not request.headers.get(SIGNATURE_HEADER):
            return _unsigned(request)
        time, signatures = signature_parts(request.header(SIGNATURE_HEADER))
        if self._tolerance_s is not None:
            check_age(time, now, self._tolerance_s)
        query, request_id = query_fields(request.query), request_id_of(request)
        label = self._label_of(query.get("data.id"), request_id, time, signatures)
        return Verified(key=label, content=(query.get("data.id"), query.get("type"), request.body))

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns no event, for the body proves nothing."""
        self.queries_for(verified)
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Queries the payment whose id is signed, or that an unsigned call names."""
        data_id, about, body = cast("tuple[str | None, str | None, bytes]", verified.content)
        if verified.proven:
            written = text(strictjson.loads_unsigned(body), "type")
            about = about or written
        if about is None:
            raise BadPayload("the query does not tell a topic")
        if about != "payment":
            OTHER_TOPICS.note(about)
            return ()
        ref = reference_or_none(data_id)
        if ref is None:
            raise BadPayload("data.id of the query is missing, or no payment's")
        return (Query(about="payment", payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the payment in the query string, of a notice or of an unsigned IPN call."""
        try:
            query = query_fields(request.query)
        except BadSignature:
            return None
        ref = reference_or_none(query.get("data.id") or query.get("id"))
        is_payment = "payment" in (query.get("type"), query.get("topic"))
        return ClaimedReferences(payment_ref=ref) if ref and is_payment else None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches a payment by its id or by its order's reference; a refund with its payment."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._access_token}"}
        return Call(method="GET", url=f"{self._api_base}{api.path_of(query)}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the payment with its refunds and its chargeback, or each payment that was found."""
        content = api.content_of(response)
        if content is None:
            return Answer(found=False)
        reported_at = answered_at(response, now)
        payments = api.payments_in(query, content)
        facts = [fact for payment in payments for fact in payment_facts(payment, reported_at)]
        events = tuple(
            query_event(_as_queried(fact, query), account=self.account, reported_at=reported_at) for fact in facts
        )
        if query.payment_ref is None:
            return Answer(found=bool(payments), events=events, also=_queries_of_unpaid(query, payments))
        if query.about == "refund":
            is_there = any(id_of(refund) == query.refund_ref for refund in list_in(content, "refunds"))
            return Answer(
                found=is_there, events=tuple(event for event in events if event.refund_ref == query.refund_ref)
            )
        return Answer(found=True, events=events)

    def _label_of(self, data_id: str | None, request_id: str | None, time: str, signatures: list[str]) -> str:
        """Finds the key that signed the id, as received or, as the documents have it, in lower case."""
        try:
            return self._keys.label_of(signed_text(data_id, request_id, time), *signatures)
        except BadSignature:
            if data_id is None or data_id == data_id.lower():
                raise
        return self._keys.label_of(signed_text(data_id.lower(), request_id, time), *signatures)


def _as_queried(fact: Fact, query: Query) -> Fact:
    """Gives a fact its order.

    A search may lag behind, so what it found holds for when each thing last changed.
    """
    as_of = fact.occurred_at if query.payment_ref is None else None
    return msgspec.structs.replace(fact, order_ref=fact.order_ref or query.order_ref, as_of=as_of)


def _queries_of_unpaid(query: Query, payments: list[object]) -> tuple[Query, ...]:
    """Queries what a search calls unpaid, for it may be paid by now."""
    unpaid = (id_of(payment) for payment in payments if not is_paid(payment))
    return tuple(Query(about="payment", order_ref=query.order_ref, payment_ref=ref) for ref in unpaid)


def _unsigned(request: Request) -> Verified:
    """Takes an IPN call, or a QR code's notice: only what its query string names is looked at."""
    query = query_fields(request.query)
    named = query.get("data.id") or query.get("id"), query.get("type") or query.get("topic"), b""
    return Verified(key=UNSIGNED, content=named, proven=False)
