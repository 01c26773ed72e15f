"""Implements Klarna: pushes that prove nothing, and an order that says all.

A push is a POST with an empty body, and the order's id in the query of our own push URL (`?klarna_order_id=...`); a
notification about fraud is JSON that nobody signed.  Both are hints to fetch the order.  Once what the order said is
committed, its receipt is acknowledged, or Klarna pushes again for two days.

It is checked against documents only, for no official package takes its pushes.

Klarna Network's webhooks are not taken: how their signature is written (hexadecimal or base64) is not documented well
enough to ship a check that has seen no delivery of theirs.

Sources: Klarna's documentation, "Confirm purchase", "View and change orders", and the reference of its Order Management
API.
"""

import re
from base64 import b64encode
from datetime import datetime
from typing import ClassVar, Final

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import form, strictjson
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.klarna.api import order_in
from tillkeeper.gateways.klarna.objects import order_facts
from tillkeeper.gateways.klarna.settings import ABOUT, KlarnaSettings
from tillkeeper.gateways.messages import Answer, Call, Query, Request, Response, Verified

ORDER_ID_FIELD: Final = "klarna_order_id"
UNSIGNED: Final = "unsigned"
QUERY_CHARS_MAX: Final = 2048  # a push URL has about 100
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", re.ASCII)


class Klarna(Gateway):
    """One merchant of Klarna's, in one region."""

    name: ClassVar[str] = "klarna"
    settings: ClassVar[type[AccountModel]] = KlarnaSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment"})
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", "user-agent"})

    def __init__(self, account: str, settings: KlarnaSettings) -> None:
        self.account = account
        self._api_base = settings.api_base
        credentials = b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Accept": "application/json"}

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - nothing tells a time
        """Nothing can be verified: only the order's id is taken, from the query or from a notification."""
        pushed = _pushed_order_id(request.query)
        order_id = _notified_order_id(request.body) if pushed is None else pushed
        return Verified(key=UNSIGNED, content=order_id, proven=False)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:  # noqa: ARG002 - it proves nothing
        """A delivery makes no event: what Klarna answers is what counts."""
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Klarna is asked about the order."""
        return (Query(about="payment", payment_ref=str(verified.content)),)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Asks about an order by Klarna's own id."""
        ref = query.payment_ref
        if query.about == "refund" or ref is None or not _ORDER_ID.fullmatch(ref):
            raise CannotQuery("Klarna is asked about orders, by its own ids")
        return Call(method="GET", url=self._url(ref), headers=self._headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads what the order says, and acknowledges that it was read."""
        order = order_in(response)
        if order is None:
            return Answer(found=False)
        ref = text(order, "order_id")
        if ref != query.payment_ref:
            raise BadPayload("the answer is about another order than the query")
        reported_at = answered_at(response, now)
        facts = order_facts(order, query.order_ref, reported_at)
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        received = Call(method="POST", url=f"{self._url(ref)}/acknowledge", headers=self._headers)
        return Answer(found=True, events=events, then=(received,))

    def _url(self, ref: str) -> str:
        return f"{self._api_base}/ordermanagement/v1/orders/{ref}"  # its alphabet needs no escapes


def _pushed_order_id(query: str) -> str | None:
    """Returns the order's id in the query of our push URL; None where it names none."""
    if not query:
        return None
    if not query.isascii() or len(query) > QUERY_CHARS_MAX:
        raise BadPayload("the query is not ASCII or too long")
    ref = form.decode(query.encode()).fields.get(ORDER_ID_FIELD)
    return None if ref is None else _checked(ref)


def _notified_order_id(body: bytes) -> str:
    return _checked(text(strictjson.loads_unsigned(body), "order_id"))


def _checked(ref: str) -> str:
    if not _ORDER_ID.fullmatch(ref):
        raise BadPayload("the order's id is not one of Klarna's")
    return ref
